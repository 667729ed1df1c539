"""Exports a pruned model, and measures what was written: both reports, and one table on the test set.

  python -m experiments.export --model=runs/lenet_300_100-mnist-snip-0.95-b33a64cd --dataset=mnist
  python -m experiments.export --model=model.keras --quantize=float16

It takes the folder of a run, or a .keras file. With a dataset, the accuracy of each file on the whole test set is in
the table, and how many of its predictions are the Keras model's.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import json
import pathlib
from typing import Any

import keras
import numpy as np

import tf_pai
from experiments.config import launch, setting
from tf_pai import datasets
from tf_pai.export.interpreter import run_file


@dataclasses.dataclass(frozen=True)
class Export:
    """What is exported, and where to."""

    model: str = setting("", "Folder of a run, or .keras file.")
    out: str = setting("", "New folder for the exports; default: exports in the run's folder, or beside the file.")
    quantize: str = setting("", "float16 or int8, for the TFLite file; default: 32-bit floats.")
    dataset: str = setting("", "Data set whose test set is classified; default: the run's, of a run.")
    data_dir: str = setting("", "Folder with the data set.")


def main(config: Export) -> None:
    """Writes the exports into a new folder, and prints reports and table."""
    source = pathlib.Path(config.model)
    file = source / "model.keras" if source.is_dir() else source
    if not config.model or not file.is_file():
        raise ValueError(f"--model is a run's folder or a .keras file. Received: --model={config.model}.")
    out = pathlib.Path(config.out) if config.out else file.parent / "exports"
    if out.exists():
        raise ValueError(f"--out is a new folder. Received: {out}, which exists. Remove it, or pass another one.")
    model, data = keras.models.load_model(file), _data(config, source)
    out.mkdir(parents=True)
    try:
        _export(model, data, out, config.quantize)
    except BaseException:
        if not any(out.iterdir()):  # so that the next try finds no folder in its way
            out.rmdir()
        raise


def _export(model: keras.Model, data: Any, out: pathlib.Path, quantize: str) -> None:
    calibration = None if data is None or quantize != "int8" else data.arrays("train")[0][:300]
    lite = tf_pai.export_tflite(model, out / "model.tflite", quantize or None, calibration)
    saved = tf_pai.export_saved_model(model, out / "saved_model")
    for name, report in (("tflite", lite), ("saved_model", saved)):
        print(report, "\n")
        report.to_json(out / f"{name}.json")
    if data is not None:
        x, y = data.arrays("test")
        made = {"Keras": model, "TFLite": out / "model.tflite", "SavedModel": out / "saved_model"}
        rows = tf_pai.benchmark(made, (x, y))
        (out / "benchmark.json").write_text(json.dumps(rows, indent=2))
        print(_agreement(model, out / "model.tflite", x))


def _data(config: Export, source: pathlib.Path) -> Any:
    settings = source / "config.json"
    stored = json.loads(settings.read_text()) if source.is_dir() and settings.is_file() else {}
    name = config.dataset or stored.get("dataset")
    return datasets.load(name, data_dir=config.data_dir or stored.get("data_dir") or None) if name else None


def _agreement(model: keras.Model, file: pathlib.Path, x: np.ndarray) -> str:
    """Says of how many examples the file's class is the model's."""
    ours = model.predict(x, batch_size=256, verbose=0).argmax(axis=1)
    theirs = np.concatenate(
        [run_file(file, {"": x[i : i + 1000]})["output_0"].argmax(axis=1) for i in range(0, len(x), 1000)]
    )
    return f"The TFLite file's class is the Keras model's for {(ours == theirs).sum()} of {len(x)} test examples."


if __name__ == "__main__":
    launch(Export, main)
