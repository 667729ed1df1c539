"""What the README shows works, and its tables are those of the registry."""

import subprocess
import sys

from tests.structure.imports import ROOT
from tests.structure.readme import python_examples, with_methods


def test_method_tables_are_the_registrys():
    text = (ROOT / "README.md").read_text()
    assert text == with_methods(text), "run: make readme"


def test_examples_run_as_pasted(tmp_path):
    examples = python_examples((ROOT / "README.md").read_text())
    assert examples
    script = tmp_path / "pasted.py"
    script.write_text("\n".join(examples))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
