"""The highest scores, in one pass over them where it is known, or a sample tells, about where the threshold is."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.kernels.library import library


def highest_near(scores: Any, count: Any, guess: Any, magnitude: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the mask of the `count` highest scores, of equal ones the first, and the guess for the next call.

    Exact, whatever the guess: without a good one, a selection algorithm runs over all scores. Not under XLA, and
    without a gradient.

    Args:
        scores: float32 tensor.
        count: int32 number, from 0 to the number of scores.
        guess: float32 [2], low and high: the threshold is thought to be in (low, high]; zeros at first.
        magnitude: whether |scores| are compared.

    Returns:
        float32 mask of the scores' shape, 1 = kept, and the next guess.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: `count` is outside its range.

    Example:
        >>> mask, _ = highest_near([3.0, 1.0, -4.0, 2.0], 2, [0.0, 0.0], magnitude=True)
        >>> mask.numpy().tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    return library().tf_pai_highest_near(scores=scores, count=count, guess=guess, magnitude=magnitude)


def largest(scores: Any, among: Any, count: Any) -> tf.Tensor:
    """Returns the mask of the `count` highest scores, of equal ones the first.

    Exact. A sample says about where the threshold is; what is near it takes memory, mostly less than a byte per score.
    Not under XLA, and without a gradient.

    Args:
        scores: float32 tensor.
        among: boolean tensor of that shape, which scores are meant.
        count: int32 number, 0 or more; all that are meant where these are fewer.

    Returns:
        Boolean mask of the scores' shape.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: `count` is negative, or `among` has another shape.

    Example:
        >>> largest([3.0, 1.0, -4.0, 2.0], [False, True, True, True], 2).numpy().tolist()
        [False, True, False, True]
    """
    return library().tf_pai_largest(scores=scores, among=among, count=count)
