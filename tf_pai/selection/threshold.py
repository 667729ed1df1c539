"""The highest scores of a weight, found from where the threshold was one step before."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tf_pai import kernels
from tf_pai.callbacks.largest import largest

BYTES = {8: tf.int64, 4: tf.int32, 2: tf.int16, 1: tf.uint8}  # integers that so many booleans are read as at once
SORTED = 2048  # so many scores are rather sorted
SPARE = 64.0  # scores on either side of the threshold that are looked through at first
SHRINK = 0.995  # of that range in each step that finds the threshold in it; it doubles where that fails


def largest_near(
    scores: tf.Tensor, count: Any, guess: tf.Tensor, magnitudes: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the mask of the `count` highest scores, as `largest` does, and the guess for the next step.

    Exact, whatever the guess: scores above high are counted, and of those in (low, high] the highest that are missing
    are added. Where these are too few, or too many are there already, a search through all finds the mask. A step of
    an optimizer moves the threshold past a few scores, so that the search is not needed. The native kernels, where they
    are available, do this in one pass.

    Args:
        scores: float32 tensor of known shape, without NaN.
        count: number or integer tensor, from 0 to the number of scores.
        guess: [2], low and high; zeros at first.
        magnitudes: whether |scores| are compared.

    Returns:
        float32 mask of the scores' shape, 1 = kept, and the next guess.

    Example:
        >>> mask, _ = largest_near(tf.constant([3.0, 1.0, 2.0, 2.0]), 2, tf.zeros(2))
        >>> mask.numpy().tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    count = tf.cast(count, tf.int32)
    if kernels.available():
        return kernels.highest_near(scores, count, guess, magnitudes)
    return _with_own_operations(tf.abs(scores) if magnitudes else scores, count, guess)


def _with_own_operations(scores: tf.Tensor, count: tf.Tensor, guess: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same, with TensorFlow's own operations; at most `SORTED` scores are sorted, and the guess stays."""
    size = scores.shape.num_elements()
    flat = tf.reshape(scores, [size])
    if size <= SORTED:
        return tf.reshape(_ones_at(tf.zeros([size]), tf.math.top_k(flat, count).indices), scores.shape), guess
    low, high = tf.unstack(guess)
    group = math.gcd(size, 8)
    above = tf.cast(flat > high, tf.uint8)
    above_at_once = _at_once(above, group)
    missing = count - tf.reduce_sum(tf.cast(tf.raw_ops.PopulationCount(x=above_at_once), tf.int32))
    groups = tf.where(_at_once(tf.cast(flat > low, tf.uint8), group) - above_at_once)
    near = tf.gather_nd(tf.reshape(flat, [-1, group]), groups)
    near = tf.reshape(tf.where((near > low) & (near <= high), near, -math.inf), [-1])
    found = tf.math.count_nonzero(near > -math.inf, dtype=tf.int32)
    kept = tf.cast(above, tf.float32)

    def add_the_highest() -> tuple[tf.Tensor, tf.Tensor]:
        values, order = tf.math.top_k(near, missing)  # of equal ones, the first
        places = tf.reshape(tf.cast(groups, tf.int32) * group + tf.range(group), [-1])
        return _ones_at(kept, tf.gather(places, order)), values[-1] + SHRINK * (guess - tf.reduce_mean(guess))

    def search() -> tuple[tf.Tensor, tf.Tensor]:
        mask = tf.cast(largest(flat, count), tf.float32)
        threshold = tf.reduce_min(tf.where(mask > 0, flat, tf.reduce_max(flat)))
        spread = SPARE * tf.reduce_mean(tf.abs(flat)) / size
        width = tf.clip_by_value(high - low, spread, 16 * spread)  # twice the half of it
        return mask, threshold + width * tf.constant([-1.0, 1.0])

    fits = (missing >= 1) & (missing <= found) & (found <= size // 8)
    mask, guess = tf.cond(fits, add_the_highest, search)
    return tf.reshape(tf.ensure_shape(mask, [size]), scores.shape), guess


def _at_once(booleans: tf.Tensor, group: int) -> tf.Tensor:
    """Groups of bytes read as one integer each: what looks through them takes an eighth of the time."""
    return tf.bitcast(tf.reshape(booleans, [-1, group] if group > 1 else [-1]), BYTES[group])


def _ones_at(mask: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(mask, places[:, None], tf.ones_like(places, tf.float32))
