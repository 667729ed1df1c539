"""The comparison of moving masks with one that stays."""

import json

import pytest
from rich.console import Console

from experiments import dynamic, table
from tests.compute.conftest import _kernels, built  # noqa: F401


def test_kept_values_only_train_as_masked_weights_do(tmp_path, capsys):
    accuracies = {}
    for compute in ("masked", "sparse"):
        config = dynamic.Dynamic(
            methods=("static", "rigl"),
            densities=(0.1,),
            seeds=1,
            update_every="3it",
            epochs=2,
            compute=compute,
            runs=str(tmp_path / compute),
        )
        dynamic.main(config)
        runs = json.loads(next((tmp_path / compute).glob("dynamic-*.json")).read_text())
        accuracies[compute] = [run["accuracy"] for run in runs]
    assert accuracies["sparse"] == pytest.approx(accuracies["masked"], abs=0.02)
    assert "density 0.1" in capsys.readouterr().out


def test_differences_fit_80_columns():
    config = dynamic.Dynamic(methods=("static", "snfs"), densities=(0.1, 0.02), seeds=2)
    accuracies = {("static", 0.1): [0.5, 0.6], ("snfs", 0.1): [0.6, 0.68]}
    accuracies |= {("static", 0.02): [0.0, 1.0], ("snfs", 0.02): [1.0, 0.0]}
    rows = dynamic.differences(config, accuracies)
    assert rows == [
        ["snfs - static", "0.1", "+9.00 [-3.71, +21.71]"],
        ["snfs - static", "0.02", "+0.00 [-1271.00, +1271.00]"],
    ]
    console = Console(width=80, record=True)
    table.show("paired differences", ["masks", "density", "points [95 % interval]"], rows, console)
    assert "[-1271.00, +1271.00]" in console.export_text()
