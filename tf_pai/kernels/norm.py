"""Batch normalization behind a sparse convolution, as one op forward and one backward."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def batch_norm(x: Any, gamma: Any, beta: Any, epsilon: float = 1e-3) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the batch's own mean and variance per channel.

    In training, Keras' BatchNormalization runs a dozen passes over its input, which outweigh the convolution once that
    is sparse. This is TensorFlow's fused op (Keras has no switch for it): it reads x twice, and a ReLU that follows is
    fused with it when a `tf.function` is optimized. Has gradients by x, gamma and beta; none flow through the returned
    statistics, which are for the moving averages. Needs no native library.

    Args:
        x: float32 [..., channels].
        gamma, beta: float32 [channels]; ones and zeros where a layer has no scale or center.
        epsilon: added to the variance.

    Returns:
        y of x's shape, and mean and variance [channels]; the variance divides by the count, as in Keras.

    Raises:
        TypeError: x is not float32.

    Example:
        >>> y, mean, variance = batch_norm([[1.0], [3.0]], [1.0], [0.0], epsilon=0.0)
        >>> y.numpy().ravel().tolist(), mean.numpy().tolist(), variance.numpy().tolist()
        ([-1.0, 1.0], [2.0], [1.0])
    """
    x = tf.convert_to_tensor(x)
    if x.dtype != tf.float32:
        raise TypeError(f"The sparse kernels compute in float32. Received: x of type {x.dtype.name}")
    images = x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, x.shape[-1]])
    none = tf.zeros([0])
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.reduce_prod(tf.shape(images)[:-1]), tf.float32)
    variance *= (count - 1.0) / count  # TensorFlow's divides by count - 1
    y = y if x.shape.rank == 4 else tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape)
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)
