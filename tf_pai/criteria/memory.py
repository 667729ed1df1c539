"""How much memory a scoring pass takes, and how many examples fit into a bound."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.layers import walk

BOUND = 2 * 2**30  # bytes of activations that one scoring pass may hold
ALWAYS_FITS = 32  # examples that are not worth a measurement


def bytes_per_example(model: keras.Model, x: Any) -> int:
    """Returns the bytes of all float tensors of a forward pass of one example: what a gradient may have to hold."""
    one = keras.tree.map_structure(lambda a: tf.TensorSpec((1, *a.shape[1:]), a.dtype), x)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(one).graph
    outputs = [out for op in graph.get_operations() if op.type not in _NO_ACTIVATIONS for out in op.outputs]
    return sum(int(np.prod(out.shape)) * out.dtype.size for out in outputs if out.shape.is_fully_defined())


_NO_ACTIVATIONS = ("ReadVariableOp", "Const", "Placeholder", "Cast")


def has_batch_statistics(model: keras.Model) -> bool:
    """Tells whether the model's outputs in training mode depend on the whole batch."""
    return any("BatchNormalization" in type(layer).__name__ for _, layer in walk(model))


def examples_that_fit(model: keras.Model, x: Any, bound: int = BOUND) -> int:
    """Returns how many examples like those of `x` one pass may take, at least one."""
    return max(1, bound // max(1, bytes_per_example(model, x)))


def micro_batch(model: keras.Model, x: Any, training: bool, bound: int = BOUND) -> int | None:
    """Returns how many examples of `x` one pass may take, or None for all; says so where it is not all.

    Raises:
        ValueError: all do not fit, but BatchNorm in training mode needs them in one batch.
    """
    count = len(keras.tree.flatten(x)[0])
    if count <= ALWAYS_FITS:
        return None
    fits = examples_that_fit(model, x, bound)
    if fits >= count:
        return None
    need = bytes_per_example(model, x)
    if training and has_batch_statistics(model):
        raise ValueError(
            "BatchNormalization in training mode needs the whole batch at once, and at most "
            f"{bound / 2**30:.1f} GiB of activations are held. Received: {count} examples of {need / 2**20:.1f} MiB. "
            f"Pass at most {fits} examples, a dataset of smaller batches, or a criterion with training=False."
        )
    logging.getLogger("tf_pai").info(
        "Scoring %d examples in micro-batches of %d: about %.2f GiB of activations each.",
        count, fits, fits * need / 2**30,
    )  # fmt: skip
    return fits
