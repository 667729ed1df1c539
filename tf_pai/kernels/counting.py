"""Counts over many numbers, in one pass and without a number for each."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.kernels.library import library


def count_nonzero(values: Any) -> tf.Tensor:
    """Returns how many are not zero, an int64 number. Not under XLA.

    Args:
        values: boolean or float32 tensor.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.

    Example:
        >>> int(count_nonzero([[True, False], [True, True]])), int(count_nonzero([0.5, 0.0]))
        (3, 1)
    """
    return library().tf_pai_count_nonzero(values=values)


def all_finite(values: Any) -> tf.Tensor:
    """Returns whether none is NaN or infinite, a boolean. Not under XLA.

    Args:
        values: float32 tensor.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.

    Example:
        >>> bool(all_finite([1.0, 2.0])), bool(all_finite([1.0, float("nan")]))
        (True, False)
    """
    return library().tf_pai_all_finite(values=values)
