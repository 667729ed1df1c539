"""Training data of any kind as a function epoch -> batches, whose order is a function of (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Batches = Callable[[int], Any]


def batches_of(data: Any, seed: int = 0, batch_size: int = 32) -> Batches:
    """Returns a function from an epoch, counted from 0, to its batches.

    Args:
        data: arrays (x, y) or (x, y, sample_weight), shuffled anew in each epoch; a `tf.data.Dataset` or
            `keras.utils.PyDataset`, whose order is its own affair; or such a function.
        seed: the order of epoch e is a function of (seed, e).
        batch_size: examples per batch of arrays; the last batch may be smaller.

    Raises:
        TypeError: data of another kind.
        ValueError: no examples, or arrays of different lengths.

    Example:
        >>> import numpy as np
        >>> epoch = batches_of((np.arange(4), np.arange(4)), seed=0, batch_size=2)
        >>> [x.numpy().tolist() for x, y in epoch(0)] == [x.numpy().tolist() for x, y in epoch(0)]
        True
    """
    if isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
        return lambda epoch: data
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return _of_arrays(tuple(data), seed, batch_size)
    if callable(data):
        return data
    raise TypeError(
        "Training data are arrays (x, y), a tf.data.Dataset, a keras.utils.PyDataset, or a function from an epoch to "
        f"one of these. Received: {type(data).__name__}."
    )


def first_batches(data: Any) -> Any:
    """Returns data that `prune_at_init` takes: the batches of epoch 0 where `data` is a function, else `data`."""
    is_function = callable(data) and not isinstance(data, (tf.data.Dataset, keras.utils.PyDataset))
    return data(0) if is_function else data


def _of_arrays(arrays: tuple[Any, ...], seed: int, batch_size: int) -> Batches:
    sizes = {len(array) for array in keras.tree.flatten(arrays)}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"Training arrays have one length, above 0. Received: lengths {sorted(sizes)}.")
    size = sizes.pop()
    with tf.device("CPU:0"):
        tensors = keras.tree.map_structure(tf.convert_to_tensor, arrays)

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        order = tf.constant(np.random.default_rng([seed, epoch]).permutation(size))

        def batch(step: tf.Tensor) -> Any:
            rows = order[step * batch_size : (step + 1) * batch_size]
            return tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), tensors)

        steps = tf.data.Dataset.range(math.ceil(size / batch_size))
        return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    return epoch_batches
