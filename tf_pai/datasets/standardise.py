"""The last step of every pipeline: pixel values to numbers of mean 0 and deviation 1."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Standardise:
    """Subtracts a mean from pixel values, divides by a deviation, and flattens if asked to.

    result = (pixels - mean) / deviation, the same as (pixels / 255 - mean / 255) / (deviation / 255).

    Args:
        mean: one number per channel, in units of pixel values.
        deviation: one number per channel, in units of pixel values.
        flat: whether each image becomes a vector.

    >>> Standardise((128.0,), (64.0,), flat=True)(tf.constant([[[[0], [192]]]])).numpy()
    array([[-2.,  1.]], dtype=float32)
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    flat: bool = False

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Returns float32 of shape (n, height, width, channels) or, when flat, (n, height * width * channels)."""
        # A channel that never changes stays at zero instead of becoming NaN.
        scale = [1.0 / max(value, 1e-3) for value in self.deviation]
        x = (tf.cast(images, tf.float32) - tf.constant(self.mean, tf.float32)) * tf.constant(scale, tf.float32)
        if not self.flat:
            return x
        return tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
