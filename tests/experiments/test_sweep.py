"""Sweeps and their tables."""

import csv
import json

import pytest

from experiments import sweep
from experiments.sweep import Sweep
from experiments.table import mean_and_deviation


def test_cells_are_methods_by_sparsities_by_seeds():
    cells = Sweep(methods=("dense", "snip"), sparsities=(0.9, 0.98), seeds=2, seed=4).cells()
    assert [(c.method, c.sparsity, c.seed) for c in cells] == [
        ("dense", 0.0, 4), ("snip", 0.9, 4), ("snip", 0.98, 4), ("dense", 0.0, 5), ("snip", 0.9, 5), ("snip", 0.98, 5),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="a method, a sparsity and a seed at least"):
        Sweep(methods=()).cells()


def test_mean_and_sample_deviation():
    assert mean_and_deviation([0.96, 0.97, 0.98]) == "97.00 ± 1.00"


def test_table_and_files(tmp_path, monkeypatch, capsys):
    config = Sweep(methods=("dense", "snip"), sparsities=(0.9, 0.98), seeds=2, runs=str(tmp_path))
    monkeypatch.setattr(sweep, "execute", lambda s: {"accuracy": 0.9 + s.seed / 100 - s.sparsity / 10})
    sweep.main(config)
    out = capsys.readouterr().out
    assert "90.50 ± 0.71" in out and "81.50 ± 0.71" in out and "80.70 ± 0.71" in out
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())
    assert len(rows) == 6 and rows[1]["method"] == "snip" and rows[1]["seed"] == 0
    with file.with_suffix(".csv").open() as stream:
        assert [row["seed"] for row in csv.DictReader(stream)] == ["0"] * 3 + ["1"] * 3


def test_what_is_there_stays_when_a_run_fails(tmp_path, monkeypatch):
    def fail_on_the_third(settings):
        if settings.sparsity == 0.98:
            raise OSError("full")
        return {"accuracy": 1.0}

    monkeypatch.setattr(sweep, "execute", fail_on_the_third)
    with pytest.raises(OSError, match="full"):
        sweep.main(Sweep(methods=("dense", "snip"), seeds=1, runs=str(tmp_path)))
    (file,) = tmp_path.glob("*.json")
    assert [row["accuracy"] for row in json.loads(file.read_text())] == [1.0, 1.0]
