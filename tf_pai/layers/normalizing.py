"""Keras' batch normalization, trained by the fused op: what stands behind sparse convolutions."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai import kernels
from tf_pai.layers.copying import in_form
from tf_pai.layers.prunable import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that normalizes a training batch by one op, `tf_pai.kernels.batch_norm`.

    Same weights, moving averages and results, up to the rounding of float32. Inference, masked inputs, float64, an axis
    that is not the last, `renorm` and `synchronized` are computed by Keras.

    Args:
        **kwargs: of `keras.layers.BatchNormalization`.

    Example:
        >>> import numpy as np
        >>> layer = FusedBatchNormalization(momentum=0.5)
        >>> layer(np.array([[1.0], [3.0]]), training=True).numpy().round(2).ravel().tolist()
        [-1.0, 1.0]
        >>> layer.moving_mean.numpy().tolist(), layer.moving_variance.numpy().tolist()
        ([1.0], [1.0])
    """

    stands_for = keras.layers.BatchNormalization

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalizes."""
        if not training or not self.trainable or mask is not None or not self._is_fused(inputs):
            return super().call(inputs, training=training, mask=mask)
        gamma = tf.cast(self.gamma.value, "float32") if self.scale else tf.ones(self.moving_mean.shape)
        beta = tf.cast(self.beta.value, "float32") if self.center else tf.zeros(self.moving_mean.shape)
        outputs, mean, variance = kernels.batch_norm(tf.cast(inputs, "float32"), gamma, beta, self.epsilon)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.cast(moving.value, "float32") * self.momentum + new * (1.0 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)

    def _is_fused(self, inputs: Any) -> bool:
        rank = len(inputs.shape)
        plain = self.axis in (-1, rank - 1) and rank > 1 and not self.renorm and not self.synchronized
        return plain and "float64" not in (inputs.dtype, self.variable_dtype, self.compute_dtype)

    @classmethod
    def from_dense(cls, layer: keras.layers.BatchNormalization) -> FusedBatchNormalization:
        """Returns the fused form of a built layer, with its weights."""
        return _with_weights(layer, cls)

    def to_dense(self) -> keras.layers.BatchNormalization:
        """Returns Keras' own layer with the same weights."""
        return _with_weights(self, self.stands_for)


def _with_weights(layer: keras.layers.BatchNormalization, form: Any) -> Any:
    new = in_form(layer, form)
    if layer.built:
        new.build_from_config(layer.get_build_config())
        for source, target in zip(layer.variables, new.variables, strict=True):
            target.assign(source)
            target.trainable = source.trainable
    return new
