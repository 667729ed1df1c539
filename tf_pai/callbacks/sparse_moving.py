"""The kept values of a sparse layer, which move to other places.

The rules see them as they see a dense weight: as a value and a boolean mask, which exist during the layer's update.
A layer of more than `tile` weights is never there as a whole: what it keeps is chosen among its kept values, and what
comes to life tile of rows by tile of rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tf_pai import kernels
from tf_pai.callbacks.explored import ExploredBits
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.layers import SparseKernel


@dataclasses.dataclass(frozen=True)
class SparseMovingWeight(MovingWeight):
    """The kept values of a sparse layer, always as many; there is no mask beside them.

    Attributes:
        tile: how many weights may exist densely at once; None: all.
    """

    layer: SparseKernel
    tile: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense kernel."""
        return self.layer.kernel_shape

    @property
    def masks_gradient(self) -> bool:
        """False: the variable's gradient has no others."""
        return False

    @property
    def tile_rows(self) -> int | None:
        """How many rows a tile has; None for a layer that may exist as a whole."""
        if self.tile is None or self.size <= self.tile or not self.layer.has_tiles:
            return None
        return max(1, self.tile // self.layer.matrix_shape[1])

    def kept(self) -> tf.Tensor:
        """Returns the kept values."""
        return tf.convert_to_tensor(self.variable.value)

    def value(self) -> tf.Tensor:
        """Returns the dense kernel, zeros at pruned places."""
        return self._dense(self.kept())

    def alive(self) -> tf.Tensor:
        """Returns the mask, boolean."""
        return self._dense(tf.ones([self.layer.nnz], tf.bool))

    def count(self) -> tf.Tensor:
        """Returns how many places are alive."""
        return tf.constant(self.layer.nnz, tf.int32)

    def _dense(self, kept: tf.Tensor) -> tf.Tensor:
        flat, zero = self.layer.flat_positions(), tf.zeros([], kept.dtype)
        return tf.reshape(put(tf.fill([self.size], zero), tf.constant(0, tf.int64), flat, kept), self.shape)

    def explored(self) -> Any:
        """Returns the places that are alive now, to add others to."""
        return ExploredBits(self.layer.positions(), self.size)

    def move(self, new: tf.Tensor, value: tf.Tensor | None, going_on: tf.Tensor | None) -> tf.Tensor:
        """Puts the values of the new mask, and the slots of the weights that go on, to its places.

        Returns:
            What `explored()` takes: the row-major positions.
        """
        flat = tf.where(tf.reshape(new, [-1]))[:, 0]
        going_on = _at(flat, self.alive() if going_on is None else going_on)
        values = _at(flat, self.value() if value is None else value)
        return self.move_to(flat, values, self.places_of(flat, self.layer.flat_positions())[0], going_on)

    def move_to(self, flat: tf.Tensor, values: tf.Tensor, places: tf.Tensor, going_on: tf.Tensor) -> tf.Tensor:
        """Does what `move` does, and returns the same.

        Args:
            flat: rising row-major positions, int64 [nnz].
            values: [nnz].
            places: of `flat`, what `places_of` returns.
            going_on: boolean [nnz]: whose slots go on.
        """
        flat = tf.ensure_shape(flat, [self.layer.nnz])
        for slot in self.slots:
            held = tf.gather(slot.variable.value, places)
            slot.variable.assign(tf.where(going_on, held, tf.cast(slot.initial, held.dtype)))
        self.layer.move(flat, values)
        return flat

    def places_of(self, flat: tf.Tensor, old: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (the places of row-major positions among the `old` ones, whether each is there); else any place."""
        places = tf.minimum(tf.searchsorted(old, flat, out_type=tf.int64), self.layer.nnz - 1)
        return places, tf.equal(tf.gather(old, places), flat)

    @contextlib.contextmanager
    def dense_backward(self, seen: Any) -> Iterator[None]:
        """Inside it, each backward pass through the layer adds (inputs, dL/d product) to `seen.dense[path]`."""

        def add(inputs: tf.Tensor, dy: tf.Tensor) -> None:
            seen.dense.setdefault(self.path, []).append((inputs, dy))

        before = self.layer.gradient_sink
        try:
            self.layer.gradient_sink = add
            yield
        finally:
            self.layer.gradient_sink = before

    def dense_gradient(self, gradient: Any, seen: Any, scale: Any = 1.0) -> Any:
        """Returns what `gradient_of` makes dL/dw of; where replicas add it up, dL/dw of all places."""
        gradient = tf.convert_to_tensor(gradient)
        parts = gradient, seen.dense.get(self.path, []), tf.cast(scale, gradient.dtype)
        return self._whole_gradient(parts) if self.tile is None else parts

    def gradient_of(self, parts: Any) -> Any:
        """Returns dL/dw of all places; of a layer in tiles, what `gradient_rows` makes it of."""
        return parts if self.tile_rows is not None or not isinstance(parts, tuple) else self._whole_gradient(parts)

    def _whole_gradient(self, parts: Any) -> tf.Tensor:
        rows = self.gradient_rows(parts, tf.constant(0), self.layer.matrix_shape[0], self.layer.flat_positions())
        return tf.reshape(rows, self.shape)

    def no_gradient(self) -> Any:
        """Returns what `dense_gradient` does where the loss does not reach the layer."""
        if self.tile is None:
            return super().no_gradient()
        return tf.zeros_like(self.kept()), [], tf.ones([], self.variable.dtype)

    def gradient_rows(self, parts: Any, begin: tf.Tensor, rows: int, flat: tf.Tensor) -> tf.Tensor:
        """Returns some rows of dL/dw as a vector; at places alive with what a regularizer adds.

        Args:
            parts: (gradient by the kept values, [(inputs, dL/d product)], what L in these was multiplied by).
            begin: the first of the rows, an int32 tensor.
            rows: how many.
            flat: row-major positions of what is alive.
        """
        kept, passes, scale = parts
        cols = self.layer.matrix_shape[1]
        tile = tf.zeros([rows * cols], kept.dtype)
        for inputs, dy in passes:
            tile += tf.cast(tf.reshape(self.layer.dense_gradient(inputs, dy, begin, rows), [-1]), kept.dtype)
        return put(tile, tf.cast(begin, tf.int64) * cols, flat, kept) / scale


def put(tile: tf.Tensor, offset: Any, flat: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns a part of a weight, a vector, with other values at those of some positions that lie in it.

    Args:
        tile: the part.
        offset: the row-major position of its first element, an int64 tensor.
        flat: rising positions in the whole weight.
        values: of the same length.

    Example:
        >>> offset, flat = tf.constant(4, tf.int64), tf.constant([1, 5, 9], tf.int64)
        >>> put(tf.zeros([3]), offset, flat, tf.constant([7.0, 8.0, 9.0])).numpy().tolist()
        [0.0, 8.0, 0.0]
    """
    if kernels.built() and tile.dtype in (tf.bool, tf.float32):
        return kernels.put(tile, offset, flat, values)
    edges = tf.stack([offset, offset + tile.shape[0]])
    first, last = tf.unstack(tf.searchsorted(flat, edges, out_type=tf.int64))
    return tf.tensor_scatter_nd_update(tile, (flat[first:last] - offset)[:, None], values[first:last])


def _at(flat: tf.Tensor, dense: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.reshape(dense, [-1]), flat)
