"""Random numbers that are a function of (seed, epoch, example) and of nothing else.

Neither `tf.random.set_seed` nor the batches already drawn change them, so a run that was killed and resumes
at some epoch sees what it would have seen. All ops are stateless, and work on epochs that are tensors.
"""

from __future__ import annotations

import tensorflow as tf

ORDER, AUGMENTATION = 0, 1


def key(seed: int, epoch: int | tf.Tensor, purpose: int) -> tf.Tensor:
    """Returns the seed pair of one epoch and purpose (`ORDER` or `AUGMENTATION`), int64 of shape (2,)."""
    return tf.random.fold_in(tf.constant([seed, purpose], tf.int64), tf.cast(epoch, tf.int64), alg="philox")


def permutation(size: int | tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns 0 ... size - 1 in the order of random 64-bit numbers drawn for each; int32 of shape (size,)."""
    bits = tf.random.stateless_uniform([size], key, minval=None, maxval=None, dtype=tf.int64, alg="philox")
    return tf.argsort(bits, stable=True)


def uniform(shape: list[int], key: tf.Tensor) -> tf.Tensor:
    """Returns numbers in [0, 1), float32 of `shape`."""
    return tf.random.stateless_uniform(shape, key, alg="philox")
