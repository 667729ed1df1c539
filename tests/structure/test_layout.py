"""The layout's rules: imports point down, the four topics are strangers, files stay short."""

import subprocess
import sys

import pytest

from tests.structure.imports import ROOT, imported, module_of, sources

# From the bottom up. What shares a line may not import its neighbours, but for those in `MAY_SHARE`.
LEVELS = [
    ["registry", "files", "digests", "steps", "topk"],
    ["kernels", "networks", "datasets"],
    ["layers"],
    ["masks", "mask_files", "records"],
    ["structures", "distributions", "criteria", "schedules"],
    ["analysis", "reporting", "export"],
    ["training", "compute"],
    ["static"],
    ["callbacks"],
    ["selection"],
    ["tickets", "traditional"],
    ["sanity"],
    ["formulation"],
    ["testing"],
]
MAY_SHARE = {
    ("masks", "topk"),
    ("reporting", "analysis"),
    ("export", "analysis"),
    ("masks", "records"),
    ("mask_files", "masks"),
    ("export", "reporting"),
}
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}
LONGEST = 320  # lines; a file above 250 is asked whether it is two things


def part(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", sources("tf_pai"), ids=module_of)
def test_imports_point_down(path):
    module = module_of(path)
    if module == "tf_pai":
        return
    own = part(module)
    assert own in LEVEL, f"{own} has no level: add it to LEVELS"
    for other in imported(path):
        if other == "tf_pai":
            continue
        name = part(other)
        allowed = name == own or LEVEL[name] < LEVEL[own] or (own, name) in MAY_SHARE
        assert allowed, f"{module} imports {other}, which does not lie below it"


@pytest.mark.parametrize("folder", ["networks", "datasets"])
def test_networks_and_datasets_know_the_registry_only(folder):
    for path in sources(f"tf_pai/{folder}"):
        parts = {part(name) for name in imported(path) if name != "tf_pai"}
        assert parts <= {folder, "registry", "files"}, path


@pytest.mark.parametrize("path", sources("tf_pai") + sources("experiments"), ids=module_of)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


def test_import_is_light():
    """Plots, tables, data sets and tfmot are imported when they are used."""
    code = "import sys, keras; before = set(sys.modules); import tf_pai; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    heavy = {"matplotlib", "rich", "tensorflow_datasets", "tensorflow_model_optimization", "tf_keras"}
    assert not heavy & set(loaded.split())
