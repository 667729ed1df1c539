"""SavedModels of pruned models: each weight once, or its kept values only."""

from __future__ import annotations

import os
import pathlib
import re
import statistics
import tempfile
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.export.checks import check_model, check_outputs, check_path, compare, predictions, probe, without_native
from tf_pai.export.report import ExportReport, Tensor, bytes_of
from tf_pai.export.serving import CompressedServed, Served, weight_values
from tf_pai.files import write_whole_folder
from tf_pai.registry import nearest

FORMS: dict[str, type[Served]] = {"plain": Served, "compressed": CompressedServed}
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_RUNS = 20  # of each form, to measure latencies


def export_saved_model(model: keras.Model, folder: str | os.PathLike, form: str = "compressed") -> ExportReport:
    """Writes a SavedModel that `tf.saved_model.load` and TensorFlow Serving load where tf_pai is not installed.

    It has `serve(inputs)` of the model's own structure, and the signature `serving_default` of named tensors, whose
    outputs are called `output_0`, ... The outputs were compared with the model's before the folder got its name. Keep
    what `tf.saved_model.load` returns as long as `serve` is called: it owns the weights.

    Args:
        model: a pruned model; it is not changed.
        folder: a new folder.
        form: "plain" keeps each weight once, zeros included (Keras' own `model.export` keeps it twice).
            "compressed" keeps the values that are not zero, and of each weight one bit, or of each kept value one
            byte, whichever is less, and BatchNorm as the scale and shift that it amounts to; they are unpacked once,
            when the SavedModel is loaded, and it runs as fast as the plain one. TFLite does not convert it (see
            `export_tflite`), and `keras.layers.TFSMLayer` takes the plain form only.

    Returns:
        What the folder weighs against the plain form, how each weight is stored, and how fast both run.

    Raises:
        ValueError: the model is not built or not pruned or uses what TensorFlow cannot save, the path exists or cannot
            be written, an unknown form, outputs that differ. No folder is left behind.
        TypeError: no Keras 3 model.

    Example:
        >>> import os, tempfile, keras, tf_pai
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256, name="fc"), keras.layers.Dense(4)])
        >>> model = tf_pai.prune_at_init(model, "magnitude", 0.95)
        >>> report = tf_pai.export_saved_model(model, os.path.join(tempfile.mkdtemp(), "served"))
        >>> report.max_difference, report.encodings["fc/kernel"]
        (0.0, 'gaps')
    """
    check_model(model)
    if form not in FORMS:
        raise ValueError(
            f'A SavedModel is "plain" or "compressed". Received: form={form!r}.{nearest(str(form), list(FORMS))}'
        )
    target = check_path(folder)
    inputs = probe(model)
    expected = predictions(model, inputs)
    model = without_native(model)
    with tempfile.TemporaryDirectory() as scratch, write_whole_folder(target) as unfinished:
        plain = unfinished if form == "plain" else pathlib.Path(scratch)
        served = write_saved_model(model, unfinished, form)
        if form != "plain":
            write_saved_model(model, plain, "plain")
        loaded = [tf.saved_model.load(str(path)) for path in (plain, unfinished)]
        comparison = compare(keras.tree.flatten(loaded[1].serve(inputs)), expected)
        check_outputs(comparison, "float32", target)
        latencies = _latencies(loaded, keras.tree.map_structure(lambda x: tf.constant(x[:1]), inputs))
        dense, sparse = bytes_of(plain), bytes_of(unfinished)
        return ExportReport(
            path=str(target),
            form=form,
            bytes_dense=dense[0],
            bytes_sparse=sparse[0],
            gzip_dense=dense[1],
            gzip_sparse=sparse[1],
            tensors=_tensors(model, served),
            max_difference=comparison.largest,
            relative_difference=comparison.relative,
            agreement=comparison.agreement,
            latency_dense=latencies[0],
            latency_sparse=latencies[1],
            notes=_notes(form, sparse[0], served.stored_bytes()),
        )


def write_saved_model(model: keras.Model, folder: pathlib.Path, form: str) -> Served:
    """Writes a SavedModel into an empty folder.

    Raises:
        ValueError: the model uses what TensorFlow cannot save.
        OSError: the disk is full, or files cannot be written for another reason.
    """
    try:
        served = FORMS[form](model)
        _refuse_python(served)
        try:
            tf.saved_model.save(served, str(folder), signatures=served.signature)
        except tf.errors.OpError as error:  # all is traced by now: what is left to fail are files
            raise OSError(f"A SavedModel could not be written: {_first_line(error)}. Is the disk full?") from error
    except OSError:
        raise
    except Exception as error:  # TensorFlow and a model's own code fail in a dozen ways
        raise ValueError(
            f"A SavedModel holds TensorFlow operations and variables only. Received: {model.name!r}, which could not "
            f"be traced and saved: {type(error).__name__}: {_first_line(error)}. Take Python code (tf.py_function) and "
            "tables of its own out of it."
        ) from error
    return served


def _first_line(error: Exception) -> str:
    """The line that says what went wrong: the one in bold, in Keras' errors; the last one, of a traced function."""
    text = re.sub(r"\{\{function_node .*?\}\} ?| \[Op:\w+\]", "", str(error))
    bold = re.search(r"\x1b\[1m(.+?)\x1b\[0m", text)
    if bold:
        return bold[1].rstrip(".")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0] == "in user code:" else 0].rstrip(".")


def _refuse_python(served: Served) -> None:
    """Raises a TypeError for code that only this process has: TensorFlow saves a call of it without a word."""
    library = served.signature.graph.as_graph_def().library.function
    found = {node.op for function in library for node in function.node_def} & _PYTHON
    if found:
        raise TypeError(f"it calls Python ({', '.join(sorted(found))})")


def _latencies(loaded: list[Any], example: Any) -> list[float]:
    seconds: list[list[float]] = [[] for _ in loaded]
    for _ in range(_RUNS + 1):
        for model, measured in zip(loaded, seconds, strict=True):
            began = time.perf_counter()
            keras.tree.map_structure(np.asarray, model.serve(example))
            measured.append(time.perf_counter() - began)
    return [statistics.median(measured[1:]) for measured in seconds]  # without the first run, which allocates


def _tensors(model: keras.Model, served: Served) -> list[Tensor]:
    found = []
    for path, (_, value) in weight_values(model).items():
        density = float(np.count_nonzero(value)) / max(1, value.size)
        form = served.encodings.get(path, "dense")
        stored = {"dense": value.nbytes, "bits": value.nbytes * density + value.size / 8, "constant": value.itemsize}
        count = int(stored.get(form, np.count_nonzero(value) * 5))
        found.append(Tensor(path, value.shape, density, form, count, value.nbytes))
    return sorted(found, key=lambda tensor: -tensor.bytes_dense)


def _notes(form: str, total: int, weights: int) -> list[str]:
    rest = total - weights
    notes = [f"Weights take {weights:,} bytes; graph and index take {rest:,}, which pruning does not make smaller."]
    if form == "compressed":
        notes.append("Unpacked once when it is loaded: it takes the memory and the time of the plain form after that.")
    return notes
