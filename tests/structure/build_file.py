"""Writes the repository's BUILD file from the tree: `python -m tests.structure.build_file > BUILD`."""

from __future__ import annotations

import pathlib

from tests.structure.imports import ROOT, imported, module_of, sources

HEADER = '''"""Bazel targets of tf_pai, one library per package; written by `python -m tests.structure.build_file`."""

package(default_visibility = ["//visibility:public"])
'''


def _folder(module: str) -> str:
    """The package that a module belongs to, as a target's name: tf_pai.layers.paths -> tf_pai/layers."""
    path = ROOT.joinpath(*module.split("."))
    return str((path if path.is_dir() else path.parent).relative_to(ROOT))


def _rule(kind: str, name: str, srcs: list[pathlib.Path], deps: set[str], extra: str = "") -> str:
    files = "".join(f'        "{path.relative_to(ROOT)}",\n' for path in srcs)
    names = "".join(f'        ":{dep}",\n' for dep in sorted(deps - {name}))
    text = f'\n{kind}(\n    name = "{name}",\n    srcs = [\n{files}    ],\n{extra}'
    return text + (f"    deps = [\n{names}    ],\n" if names else "") + ")\n"


def _dependencies(paths: list[pathlib.Path]) -> set[str]:
    return {_folder(module) for path in paths for module in imported(path)}


def _libraries() -> list[str]:
    folders: dict[str, list[pathlib.Path]] = {}
    for path in [p for top in ("tf_pai", "experiments", "tests") for p in sources(top)]:
        if not path.name.startswith("test_"):
            folders.setdefault(_folder(module_of(path)), []).append(path)
    rules = []
    for folder, paths in sorted(folders.items()):
        data = sorted(p for p in (ROOT / folder).iterdir() if p.suffix in (".npz", ".cc", ".h"))
        names = "".join(f'        "{path.relative_to(ROOT)}",\n' for path in data)
        extra = f"    data = [\n{names}    ],\n" if names else ""
        rules.append(_rule("py_library", folder, paths, _dependencies(paths), extra))
    return rules


def _tests() -> list[str]:
    rules = []
    for path in sources("tests"):
        if path.name.startswith("test_"):
            name = str(path.relative_to(ROOT).with_suffix(""))
            extra = f'    main = "{path.relative_to(ROOT)}",\n'
            rules.append(_rule("py_test", name, [path], _dependencies([path]) | {_folder(module_of(path))}, extra))
    return rules


def build_file() -> str:
    """Returns the text of BUILD."""
    return HEADER + "".join(_libraries() + _tests())


if __name__ == "__main__":
    print(build_file(), end="")
