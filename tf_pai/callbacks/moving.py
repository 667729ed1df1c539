"""A weight whose mask moves, with its mask beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks.counting import count_true
from tf_pai.callbacks.explored import Explored
from tf_pai.callbacks.slots import Slot


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
        return bool(self.layer.mask_gradients and not self.layer.passes_dense_gradients)

    def value(self) -> tf.Tensor:
        """Returns the dense weight; in a graph, like all that follows."""
        return tf.convert_to_tensor(self.variable.value)

    def alive(self) -> tf.Tensor:
        """Returns the mask, boolean."""
        return tf.not_equal(tf.convert_to_tensor(self.mask.value), 0)

    def count(self) -> tf.Tensor:
        """Returns how many places are alive."""
        return count_true(self.mask.value)

    def explored(self) -> Any:
        """Returns the places that are alive now, to add others to."""
        return Explored(self.alive())

    def move(self, new: tf.Tensor, value: tf.Tensor | None, going_on: tf.Tensor | None) -> tf.Tensor:
        """Takes another mask.

        Args:
            new: the mask, boolean.
            value: the dense weight, zero at pruned places; None: the weight stays as it is.
            going_on: the mask of the places whose slots go on; those of others alive begin anew. None: all stay, but
                for averages, which Keras writes to the weights in the end.

        Returns:
            What `explored()` takes: the mask.
        """
        last = new
        if value is not None:
            last = _assigned(self.variable, value)
        for slot in self.slots:
            with tf.control_dependencies([last]):  # one after the other, so that one exists twice
                if going_on is not None or (slot.is_average and value is not None):
                    last = _assigned(slot.variable, _moved(slot, new, going_on))
        with tf.control_dependencies([last]):
            self.mask.assign(tf.cast(new, tf.float32))
        return new

    @contextlib.contextmanager
    def dense_backward(self, seen: Any) -> Iterator[None]:
        """Inside it, the layer is traced with a gradient that reaches pruned weights."""
        before = self.layer.passes_dense_gradients
        try:
            self.layer.passes_dense_gradients = True
            yield
        finally:
            self.layer.passes_dense_gradients = before

    def no_gradient(self) -> Any:
        """Returns what `dense_gradient` does where the loss does not reach the weight."""
        return tf.zeros(self.shape, self.variable.dtype)

    def dense_gradient(self, gradient: Any, seen: Any, scale: Any = 1.0) -> Any:
        """Returns what `gradient_of` makes dL/dw of all places of, from what is computed inside `dense_backward`.

        Args:
            gradient: by the variable.
            seen: what `dense_backward` was given, afterwards.
            scale: what L was multiplied by before it was differentiated.
        """
        gradient = tf.convert_to_tensor(gradient)
        return gradient / tf.cast(scale, gradient.dtype)

    def gradient_of(self, parts: Any) -> Any:
        """Returns dL/dw of all places, at an update; of a layer in tiles, what `gradient_rows` makes it of."""
        return parts


def _assigned(variable: Any, value: tf.Tensor) -> tf.Tensor:
    """Assigns, and returns what the variable then is: whoever waits for it waits until the old one is gone."""
    variable.assign(value)
    return tf.convert_to_tensor(variable.value)


def _moved(slot: Slot, new: tf.Tensor, going_on: tf.Tensor | None) -> tf.Tensor:
    """What a slot holds for another mask: as before where it goes on (None: everywhere), as new at others alive."""
    held = tf.convert_to_tensor(slot.variable.value)
    zero = tf.zeros([], held.dtype)
    if going_on is None:
        return tf.where(new, held, zero)
    begun = tf.where(new, tf.cast(slot.initial, held.dtype), zero) if slot.initial else zero
    return tf.where(going_on, held, begun)
