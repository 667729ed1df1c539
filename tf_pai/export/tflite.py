"""TFLite files of pruned models: each weight in the smallest encoding, checked by running the file."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.export.advice import advice_on, advice_on_arm
from tf_pai.export.calibrating import calibration_batches, single_examples
from tf_pai.export.checks import check_model, check_outputs, check_path, compare, predictions, probe, without_native
from tf_pai.export.encodings import Encoding, dense, fully_connected_blocks, smallest
from tf_pai.export.flatbuffer import Constant, File
from tf_pai.export.interpreter import run_file, time_files
from tf_pai.export.report import ExportReport, Tensor, bytes_of
from tf_pai.export.saved_model import write_saved_model
from tf_pai.export.serving import input_names
from tf_pai.files import write_whole
from tf_pai.layers import prunable_weights, walk

QUANTIZED = ("float16", "int8")
_DENSIFY = 300  # bytes that decoding takes in the file: an operation, a tensor, the tree's levels
# What TFLite gives 16-bit floats to after decoding them; an embedding's GATHER would read what is not decoded yet.
_DECODED_16 = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
_TESTED = 256  # examples of representative ones that are the test batch
_COMPUTED = 4  # inputs per block of 32-bit floats that a fully connected layer computes with, as they are stored


def export_tflite(
    model: keras.Model, file: str | os.PathLike, quantize: str | None = None, representative: Any = None
) -> ExportReport:
    """Writes a TFLite file in which each weight has the smallest encoding that TFLite reads.

    The file was run by the LiteRT interpreter, in a process of its own, and its outputs compared with the model's,
    before it got its name.

    Args:
        model: a pruned model; it is not changed.
        file: a new file.
        quantize: None for 32-bit floats; "float16" for weights of 16 bits; "int8" for weights and activations of 8
            bits (inputs and outputs stay floats).
        representative: inputs that "int8" takes the ranges of activations from: an array (or the structure of arrays
            that the model takes) of a few hundred examples, or a `tf.data.Dataset` of batches, labels or not. With it,
            its first examples (256 at most) are the test batch.

    Returns:
        What the file weighs against the one with every zero, the encoding of each weight, and how fast both run.

    Raises:
        ValueError: the model is not built or not pruned or holds what TFLite cannot run, the path exists or cannot be
            written, an unknown quantization, "int8" without `representative` or with one that are no inputs of the
            model, outputs that differ. No file is left behind.
        TypeError: no Keras 3 model.

    Example:
        >>> import os, tempfile, keras, tf_pai
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256), keras.layers.Dense(4)])
        >>> model = tf_pai.prune_at_init(model, "magnitude", 0.9)
        >>> report = tf_pai.export_tflite(model, os.path.join(tempfile.mkdtemp(), "model.tflite"))
        >>> report.ratio < 0.3, report.relative_difference < 1e-5
        (True, True)
    """
    check_model(model)
    _check_quantization(quantize, representative)
    target = check_path(file)
    batches = None if representative is None else calibration_batches(model, representative)
    inputs = probe(model) if batches is None else keras.tree.map_structure(lambda x: x[:_TESTED], batches[0])
    expected = predictions(model, inputs)
    model = without_native(model)
    _check_types(model)
    with tempfile.TemporaryDirectory() as scratch:
        dense_file, sparse_file = pathlib.Path(scratch, "dense.tflite"), pathlib.Path(scratch, "sparse.tflite")
        dense_file.write_bytes(convert(model, pathlib.Path(scratch, "saved"), quantize, batches))
        content, tensors, on_arm = encode_sparse(dense_file.read_bytes(), list(prunable_weights(model)))
        sparse_file.write_bytes(content)
        report = _measured(
            (input_names(model), inputs, expected), (dense_file, sparse_file), target, quantize or "float32", tensors
        )
        report = dataclasses.replace(report, notes=[_note(report), *([on_arm] if on_arm else [])])
        with write_whole(target) as stream:
            stream.write(content)
    return report


def _check_quantization(quantize: str | None, representative: Any) -> None:
    if quantize == "dynamic":
        raise ValueError(
            "Dynamic-range quantization of sparse weights is refused: TFLite fails on it, or gives wrong outputs. "
            'Received: quantize="dynamic". Take "int8" with representative=, or "float16".'
        )
    if quantize is not None and quantize not in QUANTIZED:
        raise ValueError(f'quantize is None, "float16" or "int8". Received: quantize={quantize!r}.')
    if quantize == "int8" and representative is None:
        raise ValueError(
            'quantize="int8" takes the ranges of activations from examples. Received: representative=None. Pass a few '
            "hundred inputs, representative=x_train[:300]."
        )


def _check_types(model: keras.Model) -> None:
    """Raises a ValueError for a layer that computes in other floats than TFLite does."""
    for path, layer in walk(model):
        is_counted = not isinstance(layer, (keras.Model, keras.layers.InputLayer))
        if is_counted and layer.compute_dtype in ("float16", "bfloat16", "float64"):
            raise ValueError(
                f"TFLite computes in 32-bit floats. Received: {model.name!r} with layer {path!r} in "
                f"{layer.compute_dtype}. Build the network again under keras.config.set_dtype_policy('float32'), give "
                "it the weights by set_weights(tf_pai.strip(model).get_weights()), and export that one."
            )


def convert(model: keras.Model, folder: pathlib.Path, quantize: str | None = None, batches: Any = None) -> bytes:
    """Returns the TFLite file of a model, with every zero.

    Args:
        model: a built model.
        folder: a new folder for a SavedModel.
        quantize: as in `export_tflite`.
        batches: representative inputs, in batches.

    Raises:
        ValueError: TFLite cannot run the model.
    """
    write_saved_model(model, folder, "plain")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: single_examples(input_names(model), batches)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        return converter.convert()
    except Exception as error:  # the converter's own kinds of errors, and those of what it calls
        raise ValueError(
            f"A TFLite file holds operations that TFLite has. Received: {model.name!r}, which could not be converted: "
            f"{_reason(error)}. Replace them, or take tf_pai.export_saved_model."
        ) from error


def _reason(error: Exception) -> str:
    """The line of the converter's message that names the operations, or its first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if any("TensorList" in line for line in lines):
        return "its loop over time has no fixed batch; make recurrent layers with unroll=True"
    return next((line for line in lines if "ops:" in line.lower() or "op is neither" in line), lines[0]).rstrip(".")


def encode_sparse(content: bytes, paths: list[str]) -> tuple[bytes, list[Tensor], str]:
    """Returns the file with each constant in its smallest encoding, what became of each, and what ARM makes of it.

    Args:
        content: a TFLite file.
        paths: paths of weights, to call constants by.
    """
    file = File(content)
    tensors, constants = [], list(file.constants())
    called = {constant.index: _called(constant.name, paths) for constant in constants}
    on_arm = advice_on_arm(file, constants, called)
    for constant in constants:
        encoding, decode_first = _encoding(constant)
        if not encoding.is_dense:
            file.store(constant, encoding, decode_first)
        values = constant.values
        tensor = Tensor(
            name=called[constant.index],
            shape=values.shape,
            density=float(np.count_nonzero(values) / values.size),
            encoding=encoding.describe(values.ndim),
            bytes=encoding.bytes,
            bytes_dense=values.nbytes,
            advice=advice_on(constant, encoding, decode_first),
        )
        tensors.append(tensor)
    return file.to_bytes(), sorted(tensors, key=lambda tensor: -tensor.bytes_dense), on_arm


def _note(report: ExportReport) -> str:
    stored = sum(tensor.bytes for tensor in report.tensors)
    return (
        f"Weights take {stored:,} bytes; biases and the graph take {report.bytes_sparse - stored:,}, which pruning "
        "does not make smaller."
    )


def _encoding(constant: Constant) -> tuple[Encoding, bool]:
    """Returns the encoding of a constant, and whether it is decoded before it is used."""
    values = constant.values
    best = smallest(values)
    if values.dtype == np.float32 and set(constant.kinds) == {"FULLY_CONNECTED"}:
        blocks = fully_connected_blocks(values, _COMPUTED)
        if blocks is not None and blocks.bytes <= best.bytes and values.nbytes > blocks.bytes:
            return blocks, False
    is_right = values.dtype != np.float16 or set(constant.kinds) <= _DECODED_16
    if is_right and values.nbytes - best.bytes > _DENSIFY:
        return best, True
    return dense(values), False


def _called(name: str, paths: list[str]) -> str:
    """Returns the path of the weight that a constant was made from, or the converter's name where it does not tell.

    The converter joins the scopes of all operations that it fused; Keras appends a number to a layer's scope here.
    """
    scopes = {re.sub(r"_\d+$", "", scope) for scope in name.replace(";", "/").split("/")}
    found = [path for path in paths if path.split("/")[-2] in scopes] if "/" in name else []
    return found[0] if len(found) == 1 else name


def _measured(
    test: tuple[list[str], Any, list[np.ndarray]],
    files: tuple[pathlib.Path, pathlib.Path],
    target: pathlib.Path,
    form: str,
    tensors: list[Tensor],
) -> ExportReport:
    dense_file, sparse_file = files
    names, inputs, expected = test
    arrays = dict(zip(names, keras.tree.flatten(inputs), strict=True))
    made = run_file(sparse_file, arrays)
    comparison = compare([made[f"output_{i}"] for i in range(len(made))], expected)
    check_outputs(comparison, form, target)
    latencies = time_files([dense_file, sparse_file], {name: array[:1] for name, array in arrays.items()})
    (bytes_dense, gzip_dense), (bytes_sparse, gzip_sparse) = bytes_of(dense_file), bytes_of(sparse_file)
    return ExportReport(
        path=str(target),
        form=form,
        bytes_dense=bytes_dense,
        bytes_sparse=bytes_sparse,
        gzip_dense=gzip_dense,
        gzip_sparse=gzip_sparse,
        tensors=tensors,
        max_difference=comparison.largest,
        relative_difference=comparison.relative,
        agreement=comparison.agreement,
        latency_dense=latencies[0],
        latency_sparse=latencies[1],
    )
