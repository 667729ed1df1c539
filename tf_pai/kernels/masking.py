"""Pruned weights set to zero in place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.kernels.library import library


def zero_pruned(variable: tf.Variable, mask: Any) -> Any:
    """Sets `variable` to zero where `mask` is, in one pass that reads one bit of mask per weight.

    The mask is packed to bits when it is seen for the first time, by each place in a graph for itself: inside
    `tf.function`, a mask that stays is hardly read at all. Not under XLA, and without a gradient.

    Args:
        variable: float32 variable on a CPU.
        mask: float32 tensor of its shape, 1 = kept.

    Returns:
        The operation in a graph, or None.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: the variable is not of float32, or of another shape.

    Example:
        >>> weights = tf.Variable([1.0, float("nan"), 3.0])
        >>> zero_pruned(weights, [1.0, 0.0, 1.0])
        >>> weights.numpy().tolist()
        [1.0, 0.0, 3.0]
    """
    return library().tf_pai_zero_pruned(variable=variable.handle, mask=mask)
