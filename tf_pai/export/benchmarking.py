"""Models and exported files side by side: latency, size and accuracy, as ratios to the first."""

from __future__ import annotations

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
        data: (x, y) arrays, or a `tf.data.Dataset` of batches; all of it is classified.
        verbose: 0 for no table.

    Returns:
        A dict per model: "name", "seconds", "bytes", "accuracy", and "speedup" and "size" relative to the first.

    Raises:
        ValueError: no models, or a path that is none of the above.
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
    runs = {name: _runnable(name, model) for name, model in models.items()}
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


def _runnable(name: str, model: Any) -> Any:
    """Returns a function of inputs, or the path of a TFLite file."""
    path = pathlib.Path(model) if isinstance(model, (str, os.PathLike)) else None
    if path is not None and path.suffix == ".tflite" and path.is_file():
        return path
    if path is not None and (path / "saved_model.pb").is_file():
        loaded = tf.saved_model.load(str(path))
        return lambda inputs: loaded.serve(inputs)  # which keeps `loaded`, the owner of the variables
    if path is not None and path.suffix == ".keras" and path.is_file():
        model = keras.models.load_model(path)
    if not isinstance(model, keras.Model):
        raise ValueError(f"benchmark takes {_KINDS}. Received: {model!r} for {name!r}. Is the path right?")
    return tf.function(lambda inputs: model(inputs, training=False))


def _by_name(inputs: Any) -> dict[str, np.ndarray]:
    """Inputs as the interpreter takes them: by name, or one under the name "", whatever the file calls it."""
    arrays = inputs if isinstance(inputs, dict) else {"": keras.tree.flatten(inputs)[0]}
    return {name: _narrow(np.asarray(array)) for name, array in arrays.items()}


def _narrow(array: np.ndarray) -> np.ndarray:
    """Floats of 32 bits: NumPy makes 64 of them, models take 32."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _seconds(runs: dict[str, Any], example: Any) -> dict[str, float]:
    files = {name: run for name, run in runs.items() if isinstance(run, pathlib.Path)}
    measured: dict[str, list[float]] = {name: [] for name in runs if name not in files}
    tensors = keras.tree.map_structure(lambda array: tf.constant(_narrow(array)), example)
    for _ in range(_ROUNDS + 1):
        for name, times in measured.items():
            began = time.perf_counter()
            keras.tree.map_structure(np.asarray, runs[name](tensors))
            times.append(time.perf_counter() - began)
    found = {name: statistics.median(times[1:]) for name, times in measured.items()}  # the first run traces
    if files:
        found |= dict(zip(files, time_files(list(files.values()), _by_name(example)), strict=True))
    return found


def _accuracy(run: Any, batches: list[Batch]) -> float:
    right = total = 0
    for batch in batches:
        if isinstance(run, pathlib.Path):
            outputs = next(iter(run_file(run, _by_name(batch.x)).values()))
        else:
            tensors = keras.tree.map_structure(lambda array: tf.constant(_narrow(np.asarray(array))), batch.x)
            outputs = np.asarray(keras.tree.flatten(run(tensors))[0])
        labels = np.asarray(batch.y)
        labels = labels.argmax(axis=-1) if labels.shape == outputs.shape and outputs.shape[-1] > 1 else labels.ravel()
        right, total = right + int((outputs.argmax(axis=-1).ravel() == labels).sum()), total + labels.size
    return right / total


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
