"""Binary activations: sign(x) in place of rectifiers, trained straight through."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras.src.ops.numpy import Sign

RECTIFIERS = ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish")
_LAYERS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)


@tf.custom_gradient
def straight_sign(x: tf.Tensor) -> Any:
    """Returns sign(x); its gradient is that of x clipped to [-1, 1].

    Example:
        >>> x = tf.constant([-2.0, -0.5, 0.5])
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = straight_sign(x)
        >>> y.numpy().tolist(), tape.gradient(y, x).numpy().tolist()
        ([-1.0, -1.0, 1.0], [0.0, 1.0, 1.0])
    """

    def gradient(g: tf.Tensor) -> tf.Tensor:
        return g * tf.cast(tf.abs(x) <= 1, g.dtype)

    return tf.sign(x), gradient


def is_rectified(layer: Any) -> bool:
    """Tells whether `layer` is a rectifier, or ends in one."""
    activation = getattr(layer, "activation", None)
    return (
        isinstance(layer, _LAYERS)
        or isinstance(activation, _LAYERS)
        or getattr(activation, "__name__", "") in RECTIFIERS
    )


def with_sign(layer: keras.Layer) -> keras.Layer:
    """Returns the layer with Keras' own sign in place of its rectifier: the layer itself, or one in its place.

    What Keras saves, and what `strip` leaves, is Keras' operation; its gradient is zero until `train_straight_through`.
    """
    if isinstance(layer, _LAYERS):
        return keras.layers.Activation(Sign(), name=layer.name, dtype=layer.dtype_policy)
    layer.activation = Sign()
    return layer


def train_straight_through(layer: keras.Layer) -> None:
    """Gives the sign that `layer` ends in, if it does, the gradient of `straight_sign`."""
    if isinstance(getattr(layer, "activation", None), Sign):
        layer.activation.call = straight_sign
