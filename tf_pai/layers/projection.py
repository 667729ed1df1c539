"""What keeps a pruned weight at zero: a projecting constraint, and a masked gradient put in place by a scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common.stateless_scope import get_stateless_scope
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
from tensorflow.python.ops.resource_variable_ops import ResourceVariable

from tf_pai import kernels
from tf_pai.layers.optimizers import averages_of, in_train_step_of_keras


def zero_pruned(value: Any, mask: Any) -> tf.Tensor:
    """Returns `value * mask`, with 0 at pruned places even where `value` is not finite.

    Adafactor divides 0 by 0 in rows that get no gradient, and 0 * nan would stay nan.
    """
    value = tf.convert_to_tensor(value)
    return tf.math.multiply_no_nan(value, tf.cast(mask, value.dtype))


def _can_write_in_place(w: Any) -> bool:
    """Tells whether a native kernel may write to `w`: a variable in a step of Keras, which assigns what is read.

    Kernels are not built for this: where there are none yet, TensorFlow multiplies.
    """
    if tf.executing_eagerly() or not isinstance(w, keras.Variable) or get_stateless_scope() is not None:
        return False
    variable = w._value
    plain = isinstance(variable, ResourceVariable) and variable.dtype == tf.float32 and "CPU" in variable.device
    under_xla = GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    return plain and not under_xla and in_train_step_of_keras() and kernels.built()


class Projection(keras.constraints.Constraint):
    """w -> w * mask after each update, around the user's own constraint (mask, user's, mask).

    Args:
        mask: float variable of the weight's shape, 1 = kept.
        user: the constraint that the variable had, or None.

    Attributes:
        optimizer: weak reference to the optimizer that trains the weight, where it keeps moving averages: Keras takes
            these before it calls constraints, and writes them to the weights when training ends.
    """

    def __init__(self, mask: keras.Variable, user: Any = None):
        self.mask, self.user = mask, user
        self.optimizer: Callable[[], Any] = lambda: None

    def __call__(self, w: Any) -> tf.Tensor:
        """Returns the projected weight."""
        for average in averages_of(self.optimizer(), w):
            average.assign(zero_pruned(average.value, self.mask.value))
        if self.user is None and _can_write_in_place(w):
            kernels.zero_pruned(w._value, self.mask.value)
            return w.value
        w = zero_pruned(w, self.mask.value)
        return w if self.user is None else zero_pruned(self.user(w), self.mask.value)


def masked_gradient(g: Any, mask: Any) -> Any:
    """Returns the gradient `g` times the mask; that of an embedding stays a slice of its rows."""
    if isinstance(g, tf.IndexedSlices):
        rows = tf.gather(mask, g.indices)
        return tf.IndexedSlices(g.values * tf.cast(rows, g.values.dtype), g.indices, g.dense_shape)
    return g * tf.cast(mask, g.dtype)


@tf.custom_gradient
def mask_gradient(w: tf.Tensor, mask: tf.Tensor) -> Any:
    """Returns `w`; its gradient is `g * mask`, so that norms, moments and averages see the kept weights only."""

    def gradient(g: Any) -> Any:
        return masked_gradient(g, mask), None

    return tf.identity(w), gradient


class ReadAs(keras.StatelessScope):
    """Inside it, some variables read as other tensors; writes go through to the variables, losses are collected.

    Unlike Keras' own `StatelessScope`, tensors may be of another dtype, and a scope inside a scope sees the outer one.

    Args:
        values: pairs (variable, tensor to read in its place).
        write_through: whether writes reach the variables; else they last as long as the scope.
    """

    def __init__(self, values: list[tuple[keras.Variable, Any]], write_through: bool = True):
        super().__init__(collect_losses=True)
        self.write_through = write_through
        self.outer = get_stateless_scope()
        self.state_mapping = {id(variable): value for variable, value in values}

    def get_current_value(self, variable: keras.Variable) -> Any:
        """Returns what `variable` reads as here, or None for its own value."""
        value = super().get_current_value(variable)
        if value is None and self.outer is not None:
            return self.outer.get_current_value(variable)
        return value

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        """Takes a write to a variable: what is read in its place is the new value from here on."""
        variable, value = update
        if not self.write_through or id(variable) in self.state_mapping:
            super().add_update(update)
        if self.write_through and self.outer is not None:
            self.outer.add_update(update)
        elif self.write_through:
            variable._direct_assign(value)

    def read_outside(self, variable: keras.Variable) -> Any:
        """Returns what `variable` reads as without this scope."""
        value = None if self.outer is None else self.outer.get_current_value(variable)
        return variable._value if value is None else value


class MaskedGradients(ReadAs):
    """Inside it, gradients of the masked variables are masked, and what a layer writes to them itself is projected.

    Args:
        pairs: pairs (variable, mask variable).
    """

    def __init__(self, pairs: Iterable[tuple[keras.Variable, keras.Variable]]):
        self.masks = {id(variable): mask for variable, mask in pairs}
        super().__init__([(variable, mask_gradient(variable.value, mask.value)) for variable, mask in pairs])

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        """Takes a write, as that of SpectralNormalization to its kernel; the gradient starts anew at what it wrote."""
        variable, value = update
        mask = self.masks.get(id(variable))
        if mask is None:
            super().add_update(update)
        else:
            super().add_update((variable, zero_pruned(value, mask.value)))
            self.state_mapping[id(variable)] = mask_gradient(self.read_outside(variable), mask.value)
