"""Exact selection of the highest scores over many arrays at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SAMPLE = 1 << 14  # scores, to guess by where the threshold lies


def keep_highest(scores: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Returns boolean masks with exactly `count` True in all: the highest scores over all arrays together.

    Ties keep the lower flat index, arrays in the order given. Extra memory: the masks, and a copy of the
    scores at most.

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
    threshold = _kth_highest(scores, count)
    masks = [np.greater(s, threshold, order="C") for s in scores]
    _fill_ties(scores, masks, threshold, count - sum(int(np.count_nonzero(m)) for m in masks))
    return masks


def _kth_highest(scores: Sequence[np.ndarray], count: int) -> Any:
    """Returns the `count`-th highest score.

    A sample tells two values that it lies between, and only what lies between them is sorted. Sorting is quick where
    many weights share a score, as pruned and dead ones do; numpy's partition takes a hundred times as long there.
    """
    total = sum(s.size for s in scores)
    if total > SAMPLE:
        low, high = _bracket(scores, count / total)
        above = sum(int(np.count_nonzero(s > high)) for s in scores)
        between = np.concatenate([s[(s > low) & (s <= high)] for s in scores])
        if above < count <= above + between.size and between.size < total / 2:
            return _kth_highest([between], count - above)
        if 0 < count - above - between.size <= sum(int(np.count_nonzero(s == low)) for s in scores):
            return low
    flat = np.concatenate([np.ravel(s) for s in scores])
    flat.sort()
    return flat[total - count]


def _bracket(scores: Sequence[np.ndarray], share: float) -> tuple[Any, Any]:
    """Returns two scores that the lowest of the highest `share` likely lies between: five deviations of a sample."""
    scores, generator = [s for s in scores if s.size], np.random.default_rng(0)
    total = sum(s.size for s in scores)
    parts = [s.flat[generator.integers(0, s.size, 1 + SAMPLE * s.size // total)] for s in scores]
    sample = np.sort(np.concatenate(parts))
    place = (1 - share) * sample.size
    margin = 5 * np.sqrt(sample.size * share * (1 - share)) + 2
    low, high = int(place - margin), int(place + margin)
    return (
        sample[low] if low > 0 else min(s.min() for s in scores),
        sample[high] if high < sample.size else max(s.max() for s in scores),
    )


def _fill_ties(scores: Sequence[np.ndarray], masks: list[np.ndarray], threshold: float, missing: int) -> None:
    """Sets the first `missing` of the scores equal to `threshold` in `masks`."""
    for score, mask in zip(scores, masks, strict=True):
        if missing <= 0:
            return
        places = np.flatnonzero(score == threshold)[:missing]
        mask.reshape(-1)[places] = True  # the masks are made in C order: this is a view
        missing -= len(places)
