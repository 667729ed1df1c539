"""Comparing two groups of runs: Welch's t test and its intervals."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Difference:
    """What can be said of mean(a) - mean(b) from a few runs of each.

    Attributes:
        mean: mean(a) - mean(b).
        low: lower end of the two-sided 95 % interval.
        high: its upper end.
        at_least: one-sided 95 % lower bound.
        at_most: one-sided 95 % upper bound.
        p: probability of a difference as large as this or larger where there is none (one-sided).
    """

    mean: float
    low: float
    high: float
    at_least: float
    at_most: float
    p: float


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Returns the difference of the means of two groups, whose deviations may differ (Welch 1947).

    With one run in a group nothing can be said: the interval is infinite, and p is 1. Two groups without any
    deviation differ for certain or not at all.

    Example:
        >>> found = welch([97.0, 97.2, 97.1], [96.8, 96.7, 96.9])
        >>> round(found.mean, 2), round(found.p, 3), found.low > 0
        (0.3, 0.011, True)
    """
    mean = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) < 2:
        return Difference(mean, -math.inf, math.inf, -math.inf, math.inf, 1.0)
    parts = [statistics.variance(group) / len(group) for group in (a, b)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Difference(mean, mean, mean, mean, mean, 0.0 if mean > 0 else 1.0)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(g) - 1) for part, g in zip(parts, (a, b), strict=True))
    return _difference(mean, error, freedom)


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Returns the mean difference of pairs, e.g. of runs with the same seed (Student's t test)."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return Difference(mean, -math.inf, math.inf, -math.inf, math.inf, 1.0)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    if error == 0:
        return Difference(mean, mean, mean, mean, mean, 0.0 if mean > 0 else 1.0)
    return _difference(mean, error, len(differences) - 1)


def _difference(mean: float, error: float, freedom: float) -> Difference:
    two, one = (quantile(q, freedom) * error for q in (0.975, 0.95))
    return Difference(mean, mean - two, mean + two, mean - one, mean + one, 1 - student(mean / error, freedom))


def student(t: float, freedom: float) -> float:
    """Returns the probability that Student's t is below `t`.

    >>> round(student(2.776, 4), 3)
    0.975
    """
    half = 0.5 * float(tf.math.betainc(tf.constant(freedom / 2, tf.float64), 0.5, freedom / (freedom + t * t)))
    return 1 - half if t > 0 else half


def quantile(probability: float, freedom: float) -> float:
    """Returns the t below which Student's t is with this probability, above 1/2.

    >>> round(quantile(0.975, 4), 3)
    2.776
    """
    low, high = 0.0, 1.0
    while student(high, freedom) < probability:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) < probability else (low, middle)
    return high
