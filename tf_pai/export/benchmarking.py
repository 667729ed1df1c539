"""Models and exported files side by side: latency, size and accuracy, as ratios to the first."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.data import Batch, batches_of
from tf_pai.export.interpreter import run_file, time_files
from tf_pai.export.report import bytes_of
from tf_pai.export.serving import input_names

_ROUNDS, _BATCH = 30, 256
_KINDS = "a Keras model, a .keras or .tflite file, or the folder of a SavedModel"
Row = dict[str, Any]


def benchmark(models: dict[str, Any], data: Any, *, verbose: int = 1) -> list[Row]:
    """Measures models and files beside each other, prints one table, and returns its rows.

    Latency is the median of one example's time; what runs in TensorFlow alternates, so does what the LiteRT
    interpreter runs (in a process of its own, where Python's call does not count as much: compare its rows with each
    other).

    Args:
        models: {name: a Keras model, a .keras or .tflite file, or the folder of a SavedModel}. Of a model in memory,
            the size is that of its .keras file.
        data: (x, y) arrays, or a `tf.data.Dataset` of batches. All of it is classified, by the largest of the model's
            (first) output; where that is one number, by whether it is above 1/2, or above 0 if some are no
            probabilities.
        verbose: 0 for no table.

    Returns:
        A dict per model: "name", "seconds", "bytes", "accuracy", and "speedup" and "size" relative to the first.

    Raises:
        ValueError: no models, a path that is none of the above, no labels, or several inputs without a name for a
            TFLite file.
        RuntimeError: the interpreter refuses a file or crashes on it.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> rows = tf_pai.benchmark({"dense": model}, (np.ones((8, 4)), np.zeros(8)), verbose=0)
        >>> rows[0]["name"], rows[0]["speedup"], rows[0]["size"]
        ('dense', 1.0, 1.0)
    """
    if not isinstance(models, dict) or not models:
        raise ValueError(f"benchmark takes models by name. Received: {models!r}. Pass {{'dense': model, ...}}.")
    batches = batches_of(data, None, _BATCH)
    if any(batch.y is None for batch in batches):
        raise ValueError("benchmark counts right classes. Received: data without labels. Pass (x, y).")
    loaded = {name: _loaded(name, model) for name, model in models.items()}
    names = _input_names(list(loaded.values()), batches[0].x)
    runs = {name: _runnable(model, names) for name, model in loaded.items()}
    example = keras.tree.map_structure(lambda array: np.asarray(array[:1]), batches[0].x)
    seconds = _seconds(runs, example)
    rows: list[Row] = []
    for name, model in models.items():
        accuracy = _accuracy(runs[name], batches)
        row: Row = {"name": name, "seconds": seconds[name], "bytes": _bytes(model), "accuracy": accuracy}
        first = rows[0] if rows else row
        rows.append({**row, "speedup": first["seconds"] / row["seconds"], "size": row["bytes"] / first["bytes"]})
    if verbose:
        _show(rows)
    return rows


@dataclasses.dataclass(frozen=True)
class _File:
    """A TFLite file, and what its inputs are called."""

    path: pathlib.Path
    names: list[str]

    def arrays(self, inputs: Any) -> dict[str, np.ndarray]:
        """Returns the inputs as the interpreter takes them."""
        flat = [_narrow(np.asarray(array)) for array in keras.tree.flatten(inputs)]
        return dict(zip(self.names, flat, strict=True))


def _loaded(name: str, model: Any) -> Any:
    """Returns a Keras model, the path of a TFLite file, or what a SavedModel holds."""
    path = pathlib.Path(model) if isinstance(model, (str, os.PathLike)) else None
    if path is not None and path.suffix == ".tflite" and path.is_file():
        return path
    if path is not None and (path / "saved_model.pb").is_file():
        saved = tf.saved_model.load(str(path))
        if not hasattr(saved, "serve"):
            raise ValueError(
                f"benchmark calls a SavedModel's `serve`, which exports of tf_pai and Keras have. Received: {model!r} "
                f"for {name!r}, which has none. Export it with tf_pai.export_saved_model or model.export."
            )
        return saved
    if path is not None and path.suffix == ".keras" and path.is_file():
        model = keras.models.load_model(path)
    if not isinstance(model, keras.Model):
        raise ValueError(f"benchmark takes {_KINDS}. Received: {model!r} for {name!r}. Is the path right?")
    return model


def _input_names(loaded: list[Any], inputs: Any) -> list[str]:
    """What TFLite files call the inputs, in order: "" for a single one, whatever its name is."""
    known = [model for model in loaded if isinstance(model, keras.Model)]
    if len(keras.tree.flatten(inputs)) == 1 or not any(isinstance(model, pathlib.Path) for model in loaded):
        return [""]
    if known:
        return input_names(known[0])
    if isinstance(inputs, dict):
        return sorted(inputs)  # as Keras puts them in order
    raise ValueError(
        f"A TFLite file takes several inputs by name. Received: {type(inputs).__name__} of arrays. Pass them as a "
        "dict, {name: array}, or the Keras model along with the file."
    )


def _runnable(model: Any, names: list[str]) -> Any:
    """Returns a function of inputs, or a TFLite file."""
    if isinstance(model, pathlib.Path):
        return _File(model, names)
    if isinstance(model, keras.Model):
        return tf.function(lambda inputs: model(inputs, training=False))
    return lambda inputs: model.serve(inputs)  # which keeps the owner of the variables


def _narrow(array: np.ndarray) -> np.ndarray:
    """Floats of 32 bits: NumPy makes 64 of them, models take 32."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _seconds(runs: dict[str, Any], example: Any) -> dict[str, float]:
    files = {name: run for name, run in runs.items() if isinstance(run, _File)}
    measured: dict[str, list[float]] = {name: [] for name in runs if name not in files}
    tensors = keras.tree.map_structure(lambda array: tf.constant(_narrow(array)), example)
    for _ in range(_ROUNDS + 1):
        for name, times in measured.items():
            began = time.perf_counter()
            keras.tree.map_structure(np.asarray, runs[name](tensors))
            times.append(time.perf_counter() - began)
    found = {name: statistics.median(times[1:]) for name, times in measured.items()}  # the first run traces
    if files:
        arrays = next(iter(files.values())).arrays(example)
        found |= dict(zip(files, time_files([file.path for file in files.values()], arrays), strict=True))
    return found


def _accuracy(run: Any, batches: list[Batch]) -> float:
    outputs = np.concatenate([_first_output(run, batch.x) for batch in batches])
    labels = np.concatenate([np.asarray(keras.tree.flatten(batch.y)[0]) for batch in batches])
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        is_probability = outputs.min() >= 0 and outputs.max() <= 1
        return float(np.mean((outputs > (0.5 if is_probability else 0)).ravel() == labels.ravel()))
    labels = labels.argmax(axis=-1) if labels.shape == outputs.shape else labels
    return float(np.mean(outputs.argmax(axis=-1).ravel() == labels.ravel()))


def _first_output(run: Any, inputs: Any) -> np.ndarray:
    if isinstance(run, _File):
        made = run_file(run.path, run.arrays(inputs))
        return made["output_0"] if "output_0" in made else next(iter(made.values()))
    tensors = keras.tree.map_structure(lambda array: tf.constant(_narrow(np.asarray(array))), inputs)
    return np.asarray(keras.tree.flatten(run(tensors))[0])


def _bytes(model: Any) -> int:
    if not isinstance(model, keras.Model):
        return bytes_of(model)[0]
    with tempfile.TemporaryDirectory() as folder:
        model.save(os.path.join(folder, "model.keras"))
        return bytes_of(folder)[0]


def _show(rows: list[Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from tf_pai.reporting.wording import size

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("model", "latency", "x as fast", "bytes", "of the first", "accuracy"):
        table.add_column(head, justify="left" if head == "model" else "right", overflow="fold")
    for row in rows:
        speed, part = f"{row['speedup']:.2f}", f"{row['size']:.3f}"
        table.add_row(
            row["name"], f"{1e3 * row['seconds']:.3g} ms", speed, size(row["bytes"]), part, f"{row['accuracy']:.2%}"
        )
    Console(highlight=False).print(table)
