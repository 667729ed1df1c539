"""Timing of 4x1 blocks in the interpreter: that both files are made and run, not how fast."""

import re

from experiments import export_speed


def test_a_line_per_network(capsys):
    export_speed.main(export_speed.ExportSpeed(units=("16", "32"), rounds=1))
    lines = [line for line in capsys.readouterr().out.splitlines() if "x as fast as dense" in line]
    assert [line.split(",")[0] for line in lines] == ["16-16-16-10", "32-32-32-10"]
    assert all(re.search(r"90% removed: \d+\.\d\d \[", line) for line in lines)
