"""What imports what, read from the sources."""

from __future__ import annotations

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sources(folder: str) -> list[pathlib.Path]:
    """The Python files below a folder of the repository, sorted."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: pathlib.Path) -> str:
    """The dotted name of a file: tf_pai/layers/paths.py -> tf_pai.layers.paths."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported(path: pathlib.Path, at_top_only: bool = False) -> set[str]:
    """The dotted names of the repository's own modules that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    known = {module_of(p) for folder in ("tf_pai", "experiments", "tests") for p in sources(folder)}
    return {_longest_known(name, known) for name in found} - {None}


def _longest_known(name: str, known: set[str]) -> str | None:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None
