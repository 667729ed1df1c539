"""Which places of a weight have ever been alive."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai import kernels
from tf_pai.callbacks.counting import count_true

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)  # bits of a byte


class Explored:
    """One boolean for each place.

    Args:
        alive: mask of the places that are alive at the start.
    """

    def __init__(self, alive: Any):
        self.ever = tf.Variable(alive, trainable=False)

    def add(self, alive: tf.Tensor) -> tf.Tensor:
        """Adds places, a mask, in a graph; returns how many have ever been alive."""
        ever = self.ever | alive
        self.ever.assign(ever)
        return tf.cast(count_true(ever), tf.int64)

    def bits(self) -> np.ndarray:
        """Returns one bit for each place, as `np.packbits` orders them."""
        return np.packbits(self.ever.numpy())

    def add_bits(self, bits: np.ndarray) -> None:
        """Adds the places of what `bits` returned."""
        self.ever.assign(self.ever | np.unpackbits(bits)[: tf.size(self.ever)].astype(bool).reshape(self.ever.shape))


class ExploredBits:
    """One bit for each place, of layers that are too big for more.

    Args:
        flat: row-major positions that are alive at the start.
        size: number of places.
    """

    def __init__(self, flat: np.ndarray, size: int):
        self.packed = tf.Variable(_with(np.zeros(-(-size // 8), np.uint8), flat)[0], trainable=False)

    def add(self, flat: tf.Tensor) -> tf.Tensor:
        """Adds row-major positions, in a graph; returns how many have ever been alive."""
        if kernels.built():
            packed, count = kernels.add_bits(self.packed, flat)
        else:
            packed, count = tf.numpy_function(_with, [self.packed, flat], [tf.uint8, tf.int64])
        self.packed.assign(tf.ensure_shape(packed, self.packed.shape))
        return tf.ensure_shape(count, [])

    def bits(self) -> np.ndarray:
        """Returns the bits, as `np.packbits` orders them."""
        return self.packed.numpy()

    def add_bits(self, bits: np.ndarray) -> None:
        """Adds the places of what `bits` returned."""
        self.packed.assign(self.packed.numpy() | bits)


def _with(packed: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.int64]:
    packed = packed.copy()
    bits = np.right_shift(np.uint8(128), (flat & 7).astype(np.uint8))
    np.bitwise_or.at(packed, flat >> 3, bits)
    return packed, np.sum(_ONES[packed], dtype=np.int64)
