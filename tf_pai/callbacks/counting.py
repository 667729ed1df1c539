"""How many are alive, and whether all numbers are finite: in a graph, by the kernels where they are built."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai import kernels

_MANY = 2**20  # numbers, from which memory for each matters more than a few operations


def count_true(mask: Any) -> tf.Tensor:
    """Returns how many are True, an int32 tensor; of many, without a number for each, as `count_nonzero` has it.

    Args:
        mask: boolean tensor, or a float32 one, of which all but 0 counts.

    Example:
        >>> int(count_true([[True, False], [True, True]]))
        3
    """
    mask = tf.convert_to_tensor(mask)
    if kernels.built():
        return tf.cast(kernels.count_nonzero(mask), tf.int32)
    mask, size = tf.cast(mask, tf.bool), mask.shape.num_elements()
    if size is not None and size <= _MANY:
        return tf.reduce_sum(tf.cast(mask, tf.int32))  # fewer operations
    ones = tf.reshape(tf.cast(mask, tf.uint8), [-1])
    words = tf.reshape(tf.pad(ones, [[0, -tf.size(ones) % 8]]), [-1, 8])
    bits = tf.raw_ops.PopulationCount(x=tf.bitcast(words, tf.int64))  # each byte is 0 or 1
    return tf.reduce_sum(tf.cast(bits, tf.int32))


def all_finite(tensors: Any) -> tf.Tensor:
    """Returns whether no number of some tensors is NaN or infinite, a boolean tensor.

    Args:
        tensors: a float tensor, or a structure of them.

    Example:
        >>> bool(all_finite([[1.0, 2.0], [float("inf")]]))
        False
    """
    return tf.reduce_all([_is_finite(tensor) for tensor in tf.nest.flatten(tensors)])


def _is_finite(tensor: Any) -> tf.Tensor:
    tensor = tf.convert_to_tensor(tensor)
    if kernels.built() and tensor.dtype == tf.float32:
        return kernels.all_finite(tensor)
    return tf.reduce_all(tf.math.is_finite(tensor))
