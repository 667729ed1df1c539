"""Exact selection of the highest scores over many arrays at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def keep_highest(scores: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Returns boolean masks with exactly `count` True in all: the highest scores over all arrays together.

    Ties keep the lower flat index, arrays in the order given. Extra memory: one copy of the scores, and the masks.

    Args:
        scores: float arrays of any shapes, without NaN.
        count: how many to keep, between 0 and the number of scores.

    Example:
        >>> [m.tolist() for m in keep_highest([np.array([3.0, 1.0]), np.array([1.0, 2.0])], 3)]
        [[True, True], [False, True]]
    """
    total = sum(s.size for s in scores)
    if not 0 <= count <= total:
        raise ValueError(f"Between 0 and {total} scores can be kept. Received: count={count}.")
    if count in (0, total):
        return [np.full(s.shape, count > 0) for s in scores]
    flat = np.concatenate([np.ravel(s) for s in scores])
    flat.partition(total - count)
    threshold = flat[total - count]
    del flat
    masks = [np.greater(s, threshold, order="C") for s in scores]
    _fill_ties(scores, masks, threshold, count - sum(int(np.count_nonzero(m)) for m in masks))
    return masks


def _fill_ties(scores: Sequence[np.ndarray], masks: list[np.ndarray], threshold: float, missing: int) -> None:
    """Sets the first `missing` of the scores equal to `threshold` in `masks`."""
    for score, mask in zip(scores, masks, strict=True):
        if missing <= 0:
            return
        places = np.flatnonzero(score == threshold)[:missing]
        mask.reshape(-1)[places] = True  # the masks are made in C order: this is a view
        missing -= len(places)
