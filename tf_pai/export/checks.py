"""What is looked at before and after an export: the model, the path, and the outputs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from tf_pai.criteria.data import input_specs, random_inputs
from tf_pai.export.serving import weight_values
from tf_pai.layers import (
    FusedBatchNormalization,
    SparseKernel,
    SparseMultiHeadAttention,
    prunable_weights,
    strip,
    walk,
)
from tf_pai.layers.paths import is_graph
from tf_pai.masks import get_masks
from tf_pai.records import record_of

TEST_EXAMPLES = 8
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "int8": 0.25}
"""Largest difference of an output, relative to the largest output, that is no error."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far an export's outputs are from the model's on the test batch.

    Attributes:
        largest: largest absolute difference of an output.
        relative: the same, relative to the largest absolute output.
        agreement: fraction of the examples (and positions) whose largest output is the same one.
    """

    largest: float
    relative: float
    agreement: float


def check_model(model: Any) -> None:
    """Raises unless `model` is a built Keras 3 model that was pruned, and a function of inputs of known shapes.

    Raises:
        TypeError: no Keras 3 model.
        ValueError: not built, or not pruned, with a state that outputs depend on, or with inputs of unknown shapes.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"An export takes a Keras 3 model. Received: {type(model).__module__}.{type(model).__name__}. "
            "Convert a tf_keras model by rebuilding it with keras.layers and copying get_weights()."
        )
    if not model.built or not model.variables:
        raise ValueError(
            f"An export takes a built model. Received: {model.name!r}, which has no weights. Call it on data first."
        )
    _check_is_function(model)
    if get_masks(model) or record_of(model) is not None:
        return
    values = {id(variable): value for variable, value in weight_values(model).values()}
    if all(np.all(values[id(weight.variable)]) for weight in prunable_weights(model).values()):
        raise ValueError(
            f"An export takes a pruned model. Received: {model.name!r}, in which no weight is zero. Prune it with "
            "tf_pai.prune_at_init, or export a dense model with model.export."
        )


def _check_is_function(model: keras.Model) -> None:
    stateful = [path for path, layer in walk(model) if getattr(layer, "stateful", False) is True]
    if stateful:
        raise ValueError(
            f"An export gives the same outputs each time. Received: {model.name!r} with the stateful layer "
            f"{stateful[0]!r}. Build it with stateful=False and set its weights."
        )
    try:
        input_specs(model)
    except ValueError as error:
        raise ValueError(
            f"An export has inputs of known shapes and types. Received: {type(model).__name__} {model.name!r}, which "
            "does not tell them. Write it as keras.Model(inputs, outputs), or call it inside one."
        ) from error


def without_native(model: keras.Model) -> keras.Model:
    """Returns the model with Keras' own layers in place of those that compute by native operations, as others run it.

    Raises:
        ValueError: they are in a subclassed model, which would have to be changed.
    """
    native = (FusedBatchNormalization, SparseKernel, SparseMultiHeadAttention)
    found = [path for path, layer in walk(model) if isinstance(layer, native)]
    if not found:
        return model
    if not is_graph(model):
        raise ValueError(
            f"An export holds no sparse layers: their operations are tf_pai's. Received: the subclassed model "
            f"{model.name!r} with {found[0]!r}. Export tf_pai.to_dense(model), which changes it in place."
        )
    return strip(model)


def check_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path of a new file or folder.

    Raises:
        ValueError: it exists, or lies in no folder that can be written.
    """
    target = pathlib.Path(path)
    if os.path.lexists(target):
        raise ValueError(f"An export is written to a new path. Received: {str(path)!r}, which exists. Remove it first.")
    if not target.parent.is_dir():
        raise ValueError(
            f"An export is written into a folder that exists. Received: {str(path)!r}. "
            f"Make {str(target.parent)!r} first."
        )
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}."):
            return target
    except OSError as error:
        raise ValueError(
            f"An export is written into a folder that can be written. Received: {str(path)!r} ({error.strerror}). "
            "Choose another folder."
        ) from error


def probe(model: keras.Model) -> Any:
    """Returns the inputs of the test batch, random and the same each time."""
    return random_inputs(model, TEST_EXAMPLES, np.random.default_rng(0))


def predictions(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """Returns the model's outputs as a list."""
    outputs = keras.tree.flatten(model(inputs, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def compare(made: list[np.ndarray], expected: list[np.ndarray]) -> Comparison:
    """Returns how far two lists of outputs are apart; a NaN is infinitely far from a number."""
    largest, scale, same, rows = 0.0, 0.0, 0, 0
    for a, b in zip(made, expected, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        apart = np.where(a == b, 0, np.abs(a - b))
        largest = max(largest, float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0)))
        scale = max(scale, float(np.abs(b).max(initial=0)))
        winners = a.argmax(axis=-1) == b.argmax(axis=-1)
        same, rows = same + int(winners.sum()), rows + winners.size
    return Comparison(largest, largest / scale if scale else largest, same / max(rows, 1))


def check_outputs(comparison: Comparison, kind: str, path: pathlib.Path) -> None:
    """Raises a ValueError where the outputs are further from the model's than `TOLERANCES[kind]` of the largest one."""
    if not comparison.relative <= TOLERANCES[kind]:
        raise ValueError(
            f"An export gives the model's outputs, within {TOLERANCES[kind]:g} of the largest one for {kind}. "
            f"Received: outputs that differ by {comparison.relative:.3g} of it. {str(path)!r} was not written: export "
            "to another format, and please report the model."
        )
