"""The usual augmentations of images, as functions of images and of uniform numbers drawn for each example."""

from __future__ import annotations

import tensorflow as tf

PADDING = 4  # pixels on each side, as for CIFAR in He et al. 2016
CROP_FLIP_DRAWS = 3
RESIZED_CROP_DRAWS = 5


def _starts(draws: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Turns numbers in [0, 1) into whole numbers in [0, count)."""
    return tf.cast(draws * tf.cast(count, tf.float32), tf.int32)


def crop_flip(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Pads each image with 4 black pixels on each side, crops it back at random, and mirrors half of them.

    Args:
        images: batch of shape (n, height, width, channels), any dtype.
        draws: numbers in [0, 1) of shape (n, 3): top, left and mirroring of each image.

    Reference: He et al., "Deep residual learning", CVPR 2016, section 4.2.
    """
    height, width = images.shape[1], images.shape[2]
    padded = tf.pad(images, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    top, left = (_starts(draws[:, axis, None], 2 * PADDING + 1) for axis in (0, 1))
    columns = tf.range(width)[None]
    columns = left + tf.where(draws[:, 2, None] < 0.5, columns, width - 1 - columns)
    rows = top + tf.range(height)[None]
    pixels = rows[:, :, None] * (width + 2 * PADDING) + columns[:, None, :]
    flat = tf.reshape(padded, [-1, (height + 2 * PADDING) * (width + 2 * PADDING), images.shape[3]])
    return tf.gather(flat, pixels, batch_dims=1)


def resized_crop_flip(image: tf.Tensor, draws: tf.Tensor, side: int) -> tf.Tensor:
    """Cuts a random rectangle out of an image, resizes it to a square, and mirrors half of them.

    The rectangle has 8 to 100 % of the area and a width-to-height ratio from 3/4 to 4/3 (uniform in the logarithm).

    Args:
        image: one image of shape (height, width, channels), any size.
        draws: numbers in [0, 1) of shape (5,): area, ratio, top, left, mirroring.
        side: height and width of the result, in pixels.

    Differs from the paper in: a rectangle that does not fit is clipped to the image, not drawn again.
    Reference: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6.
    """
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    area = (0.08 + 0.92 * draws[0]) * size[0] * size[1]
    ratio = tf.exp((2.0 * draws[1] - 1.0) * tf.math.log(4.0 / 3.0))
    crop = tf.minimum(tf.stack([tf.sqrt(area / ratio), tf.sqrt(area * ratio)]), size)
    crop = tf.maximum(tf.cast(tf.round(crop), tf.int32), 1)
    top, left = tf.unstack(_starts(draws[2:4], tf.shape(image)[:2] - crop + 1))
    cut = image[top : top + crop[0], left : left + crop[1]]
    cut = tf.image.resize(cut, [side, side], antialias=True)
    return tf.where(draws[4] < 0.5, cut, tf.reverse(cut, [1]))


def center_crop(image: tf.Tensor, side: int) -> tf.Tensor:
    """Cuts 224/256 of the shorter side out of the middle of an image and resizes it to a square of `side` pixels."""
    size = tf.shape(image)[:2]
    crop = tf.maximum(tf.reduce_min(size) * 224 // 256, 1)
    top, left = tf.unstack((size - crop) // 2)
    return tf.image.resize(image[top : top + crop, left : left + crop], [side, side], antialias=True)
