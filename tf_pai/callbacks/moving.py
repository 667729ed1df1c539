"""A weight whose mask moves: dense, with its mask beside it, or the kept values of a sparse layer.

The rules see both alike, as a dense value and a boolean mask; of a sparse layer these exist during its update only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks.slots import Slot
from tf_pai.layers import SparseKernel


@dataclasses.dataclass(frozen=True)
class MovingWeight:
    """A weight whose mask moves.

    Attributes:
        index: its place among the weights whose masks move; layer names may differ from one session to the next.
        path: its path in the model.
        variable: the weight.
        mask: its mask, 1 = alive.
        layer: the PrunableLayer that holds both.
        inner: the weight's path inside that layer.
        slots: what the optimizer holds for it.
    """

    index: int
    path: str
    variable: keras.Variable
    mask: keras.Variable
    layer: Any
    inner: str
    slots: tuple[Slot, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense weight."""
        return tuple(self.variable.shape)

    @property
    def size(self) -> int:
        """Number of weights, alive or not."""
        return math.prod(self.shape)

    @property
    def masks_gradient(self) -> bool:
        """Whether the optimizer gets the gradient of what is alive only."""
        return bool(self.layer.mask_gradients)

    def value(self) -> tf.Tensor:
        """Returns the dense weight; in a graph, like all that follows."""
        return tf.convert_to_tensor(self.variable.value)

    def alive(self) -> tf.Tensor:
        """Returns the mask, boolean."""
        return tf.not_equal(tf.convert_to_tensor(self.mask.value), 0)

    def count(self) -> tf.Tensor:
        """Returns how many places are alive."""
        return tf.math.count_nonzero(self.mask.value, dtype=tf.int32)

    def move(self, new: tf.Tensor, value: tf.Tensor | None, slots_of: tf.Tensor | None) -> None:
        """Takes another mask.

        Args:
            new: the mask, boolean.
            value: the dense weight, of which what is alive is kept; None: the weight stays as it is.
            slots_of: the mask of the places whose slots go on; those of others alive begin anew. None: all stay.
        """
        if value is not None:
            self.variable.assign(tf.where(new, value, tf.zeros_like(value)))
        if slots_of is not None:
            for slot in self.slots:
                held = tf.convert_to_tensor(slot.variable.value)
                start = tf.cast(slot.initial, held.dtype)
                slot.variable.assign(tf.where(new & ~slots_of, start, tf.where(new, held, tf.zeros_like(held))))
        self.mask.assign(tf.cast(new, tf.float32))

    @contextlib.contextmanager
    def dense_backward(self, seen: Any) -> Iterator[None]:
        """Inside it, the layer is traced with a gradient that reaches pruned weights."""
        before = self.layer.mask_gradients
        try:
            self.layer.mask_gradients = False
            yield
        finally:
            self.layer.mask_gradients = before

    def dense_gradient(self, gradient: tf.Tensor, seen: Any) -> tf.Tensor:
        """Returns dL/dw of all places, from what is computed inside `dense_backward`.

        Args:
            gradient: by the variable.
            seen: what `dense_backward` was given, afterwards.
        """
        return tf.convert_to_tensor(gradient)


class SparseMovingWeight(MovingWeight):
    """The kept values of a sparse layer, which move to other places, always as many; it has no mask beside it."""

    layer: SparseKernel

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense kernel."""
        return self.layer.kernel_shape

    @property
    def masks_gradient(self) -> bool:
        """False: the variable's gradient has no others."""
        return False

    def value(self) -> tf.Tensor:
        """Returns the dense kernel, zeros at pruned places."""
        return self._dense(tf.convert_to_tensor(self.variable.value))

    def alive(self) -> tf.Tensor:
        """Returns the mask, boolean."""
        return self._dense(tf.ones([self.layer.nnz], tf.bool))

    def count(self) -> tf.Tensor:
        """Returns how many places are alive."""
        return tf.constant(self.layer.nnz, tf.int32)

    def _dense(self, kept: tf.Tensor) -> tf.Tensor:
        size = tf.constant([self.size], tf.int64)
        return tf.reshape(tf.scatter_nd(self.layer.flat_positions()[:, None], kept, size), self.shape)

    def move(self, new: tf.Tensor, value: tf.Tensor | None, slots_of: tf.Tensor | None) -> None:
        """Puts the values of the new mask, and the slots of the weights that go on, to its places."""
        flat = tf.ensure_shape(tf.where(tf.reshape(new, [-1]))[:, 0], [self.layer.nnz])
        going_on = _at(flat, self.alive() if slots_of is None else slots_of)
        for slot in self.slots:
            held = _at(flat, self._dense(tf.convert_to_tensor(slot.variable.value)))
            slot.variable.assign(tf.where(going_on, held, tf.cast(slot.initial, held.dtype)))
        self.layer.move(flat, _at(flat, self.value() if value is None else value))

    @contextlib.contextmanager
    def dense_backward(self, seen: Any) -> Iterator[None]:
        """Inside it, the layer's backward pass adds its dense gradients to `seen.dense[path]`."""

        def add(gradient: tf.Tensor) -> None:
            before = seen.dense.get(self.path)
            seen.dense[self.path] = gradient if before is None else before + gradient

        before = self.layer.gradient_sink
        try:
            self.layer.gradient_sink = add
            yield
        finally:
            self.layer.gradient_sink = before

    def dense_gradient(self, gradient: tf.Tensor, seen: Any) -> tf.Tensor:
        """Returns dL/dw of all places; at those alive with what a regularizer adds."""
        dense = tf.cast(seen.dense[self.path], gradient.dtype)
        flat = tf.tensor_scatter_nd_update(
            tf.reshape(dense, [-1]), self.layer.flat_positions()[:, None], tf.convert_to_tensor(gradient)
        )
        return tf.reshape(flat, self.shape)


def _at(flat: tf.Tensor, dense: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.reshape(dense, [-1]), flat)
