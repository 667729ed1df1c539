"""The programs that export: a run, a .keras file, and the table of sizes, with small networks."""

import json
import re

import keras
import pytest

import tf_pai
from experiments import export, export_sizes


@pytest.fixture(scope="module")
def model():
    stack = [keras.Input((64,)), keras.layers.Dense(128, "relu"), keras.layers.Dense(10)]
    return tf_pai.prune_at_init(keras.Sequential(stack), "random", 0.9, seed=0)


def test_a_run_gives_both_exports_reports_and_a_table(model, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "model.keras")
    (run / "config.json").write_text(json.dumps({"dataset": "digits"}))
    load = export.datasets.load
    monkeypatch.setattr(export.datasets, "load", lambda name, **options: load(name, flat=True))
    export.main(export.Export(model=str(run)))
    assert {path.name for path in (run / "exports").iterdir()} == {
        *("model.tflite", "saved_model", "tflite.json", "saved_model.json", "benchmark.json")
    }
    printed = capsys.readouterr().out
    counts = re.search(r"class is the Keras model's for (\d+) of (\d+) test examples", printed)
    assert counts[1] == counts[2]
    rows = json.loads((run / "exports" / "benchmark.json").read_text())
    assert [row["name"] for row in rows] == ["Keras", "TFLite", "SavedModel"]
    assert rows[0]["accuracy"] == rows[1]["accuracy"] == rows[2]["accuracy"]
    assert max(map(len, printed.splitlines())) <= 80 or str(run) in printed


def test_a_file_is_exported_beside_it(model, tmp_path):
    model.save(tmp_path / "net.keras")
    export.main(export.Export(model=str(tmp_path / "net.keras"), quantize="float16"))
    assert json.loads((tmp_path / "exports" / "tflite.json").read_text())["form"] == "float16"


def test_wrong_model(tmp_path):
    with pytest.raises(ValueError, match="--model is a run's folder or a .keras file. Received: --model=nowhere"):
        export.main(export.Export(model="nowhere"))


def test_a_folder_is_new_and_a_failed_export_leaves_none(model, tmp_path):
    model.save(tmp_path / "net.keras")
    settings = export.Export(model=str(tmp_path / "net.keras"), quantize="int8")  # and no data to take ranges from
    with pytest.raises(ValueError, match="takes the ranges of activations from examples"):
        export.main(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]
    (tmp_path / "exports").mkdir()
    with pytest.raises(ValueError, match="--out is a new folder. Received: .*exports, which exists. Remove it"):
        export.main(settings)


def test_a_row_per_network_and_sparsity(capsys):
    export_sizes.main(export_sizes.ExportSizes(networks=("lenet_300_100",), sparsities=("0.9", "0.98")))
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| network | sparsity | TFLite")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[1] for row in cells] == ["90 %", "98 %"]
    assert float(cells[1][2]) < float(cells[0][2]) < 0.2 and float(cells[1][4]) < float(cells[0][4]) < 0.2
    assert all(float(number) <= 1e-5 for row in cells for number in row[6].split(","))
