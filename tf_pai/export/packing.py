"""A vector with many zeros as kept values and positions: packed with NumPy, unpacked with TensorFlow's operations."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

FORMS = ("dense", "bits", "gaps")
_FARTHEST = 255  # what a gap of one byte reaches


@dataclasses.dataclass(frozen=True)
class Packed:
    """A packed vector.

    Attributes:
        form: "dense": all values; "bits": one bit per place; "gaps": one byte per value, the way from the one before.
        values: the values stored, [stored].
        positions: bytes that say where they are; none for "dense".
        size: number of values, zeros counted.
    """

    form: str
    values: np.ndarray
    positions: np.ndarray
    size: int

    @property
    def nbytes(self) -> int:
        """What values and positions take."""
        return self.values.nbytes + self.positions.nbytes


def pack(vector: np.ndarray, form: str | None = None) -> Packed:
    """Returns the vector in the form that takes the fewest bytes, or in the one asked for.

    Example:
        >>> packed = pack(np.array([0, 0, 3, 0, 0, 0, 0, 5] + 24 * [0], "float32"))
        >>> packed.form, packed.values.tolist(), packed.positions.tolist()
        ('gaps', [3.0, 5.0], [3, 5])
    """
    nothing = np.zeros(0, np.uint8)
    kept = np.flatnonzero(vector)
    dense = Packed("dense", vector, nothing, vector.size)
    bits = Packed("bits", vector[kept], np.packbits(vector != 0), vector.size)
    packed = (dense, bits, _gaps(vector, kept))
    if form is not None:
        return next(p for p in packed if p.form == form)
    return min(packed, key=lambda p: p.nbytes)


def _gaps(vector: np.ndarray, kept: np.ndarray) -> Packed:
    """Where a gap is longer than a byte can say, zeros are stored on the way."""
    gaps = np.diff(kept, prepend=-1)
    on_the_way = (gaps - 1) // _FARTHEST
    ends = np.cumsum(on_the_way + 1) - 1  # where the kept values stand among all that are stored
    steps = np.full(kept.size + int(on_the_way.sum()), _FARTHEST, np.uint8)
    steps[ends] = gaps - _FARTHEST * on_the_way
    values = np.zeros(steps.size, vector.dtype)
    values[ends] = vector[kept]
    return Packed("gaps", values, steps, vector.size)


def unpack(form: str, values: tf.Tensor, positions: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the vector, [size].

    Example:
        >>> packed = pack(np.array([0, 0, 3, 0, 0, 0, 0, 5] + 24 * [0], "float32"))
        >>> unpack(packed.form, packed.values, packed.positions, packed.size)[:8].numpy().tolist()
        [0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 5.0]
    """
    if form == "dense":
        return tf.identity(values)
    if form == "bits":
        shifts = tf.range(7, -1, -1, dtype=tf.int32)
        bits = tf.bitwise.right_shift(positions[:, None], tf.cast(shifts, tf.uint8)) & tf.constant(1, tf.uint8)
        places = tf.where(tf.reshape(bits, [-1])[:size] > 0)
    else:
        places = tf.cumsum(tf.cast(positions, tf.int64))[:, None] - 1
    return tf.scatter_nd(places, values, tf.constant([size], tf.int64))
