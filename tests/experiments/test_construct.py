"""experiments/construct.py: errors within what was asked for, stored and plotted."""

import json

from experiments import construct
from experiments.construct import Construct


def test_rows_table_and_plot(tmp_path, capsys):
    config = Construct(proving=(2.0,), logarithmic=(1.0, 0.1), inputs=100, runs=str(tmp_path))
    construct.main(config)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:-1])) <= 80 and "NO" not in out
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())
    assert [row["epsilon"] for row in rows] == [2.0, 1.0, 0.1]
    assert all(0 < row["error"] <= row["epsilon"] == row["promised"] for row in rows)
    assert rows[2]["width"] > rows[1]["width"]
    assert file.with_suffix(".png").stat().st_size > 1000
