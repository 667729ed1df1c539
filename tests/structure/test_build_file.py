"""BUILD and the tree agree."""

from tests.structure.build_file import build_file
from tests.structure.imports import ROOT


def test_build_names_every_file_and_every_dependency():
    text = (ROOT / "BUILD").read_text()
    assert text == build_file(), "BUILD and the tree differ; run: python -m tests.structure.build_file > BUILD"
