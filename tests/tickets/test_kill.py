"""A search that is killed at any moment ends, when it is called again, as one that is not."""

import json
import subprocess
import sys

from tests.structure.imports import ROOT


def test_twenty_kills_change_no_bit(tmp_path):
    command = [sys.executable, "-m", "tests.tickets.killed_run", str(tmp_path), "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["killed"] == 20
    assert len(result["digests"]) >= 2 and len(set(result["digests"])) == 1
