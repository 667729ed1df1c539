"""Drop and grow: pure functions on tensors, with exact counts and ties that keep the lower flat index.

They know nothing of models, schedules or papers. Counts are arguments, so that every paper's (and every code base's)
way of rounding can be asked for; `drop_count` has the three that are in use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.callbacks.counting import count_true
from tf_pai.callbacks.largest import largest

ROUNDINGS: dict[str, Callable[[float], int]] = {"floor": math.floor, "ceil": math.ceil, "round": round}


def drop_count(fraction: float, kept: int, rounding: str = "floor") -> int:
    """Returns how many of `kept` weights a drop fraction means.

    Args:
        fraction: in [0, 1].
        kept: number of weights alive.
        rounding: "floor" (RigL's code: int(float32(kept) * fraction)), "ceil" (ITOP, SNFS) or "round" (jaxpruner).

    Example:
        >>> drop_count(0.3, 25), drop_count(0.3, 25, "ceil")
        (7, 8)
    """
    product = float(np.float32(kept) * np.float32(fraction)) if rounding == "floor" else kept * fraction
    return min(int(ROUNDINGS[rounding](product)), kept)


def drop(scores: Any, mask: Any, keep: Any) -> tf.Tensor:
    """Returns the mask of the `keep` highest scores among the weights that are alive.

    Args:
        scores: tensor of the weight's shape; the lowest are dropped.
        mask: boolean tensor of that shape, True = alive.
        keep: how many stay; all that are alive where these are fewer.

    Example:
        >>> drop([[0.1, 0.9], [0.5, 0.7]], [[True, True], [False, True]], 2).numpy().tolist()
        [[False, True], [False, True]]
    """
    return largest(scores, keep, among=mask)


def grow(scores: Any, kept: Any, count: Any) -> tf.Tensor:
    """Returns `kept` and the `count` highest scores among all other weights, those just dropped included.

    Args:
        scores: tensor of the weight's shape.
        kept: boolean tensor of that shape, what is alive and stays so.
        count: how many come to life; all others where these are fewer.

    Example:
        >>> grow([0.9, 0.1, 0.5], [True, False, False], 1).numpy().tolist()
        [True, False, True]
    """
    kept = tf.cast(kept, tf.bool)
    return kept | drop(scores, ~kept, tf.maximum(tf.cast(count, tf.int32), 0))


def drop_by_sign(weights: Any, mask: Any, keep: Any) -> tf.Tensor:
    """Drops the smallest positive and the largest negative weights, the same fraction of each; zeros always.

    Args:
        weights: tensor.
        mask: boolean tensor of that shape, True = alive.
        keep: how many stay of all that are alive.

    Example:
        >>> drop_by_sign([0.1, 0.2, -5.0, -6.0], [True] * 4, 2).numpy().tolist()
        [False, True, False, True]

    Reference: Mocanu et al. 2018, "Scalable training of artificial neural networks", algorithm 1.
    """
    weights, mask = tf.convert_to_tensor(weights), tf.cast(mask, tf.bool)
    positive, negative = mask & (weights > 0), mask & (weights < 0)
    alive = tf.maximum(count_true(positive) + count_true(negative), 1)
    share = tf.cast(count_true(positive), tf.float64) / tf.cast(alive, tf.float64)
    keep = tf.minimum(tf.cast(keep, tf.int32), alive)
    keep_positive = tf.cast(tf.round(share * tf.cast(keep, tf.float64)), tf.int32)
    return drop(weights, positive, keep_positive) | drop(-weights, negative, keep - keep_positive)


def exchange(drop_scores: Any, grow_scores: Any, mask: Any, keep: Any, total: Any) -> tf.Tensor:
    """Returns the mask after dropping to `keep` weights and growing to `total`.

    Args:
        drop_scores: tensor of the weight's shape; the lowest alive ones are dropped.
        grow_scores: tensor of that shape; the highest others come to life.
        mask: boolean tensor of that shape, True = alive.
        keep: how many survive the drop.
        total: how many are alive in the end.

    Example:
        >>> exchange([0.1, 0.9, 0.0], [0.0, 0.0, 3.0], [True, True, False], 1, 2).numpy().tolist()
        [False, True, True]
    """
    kept = drop(drop_scores, mask, keep)
    return grow(grow_scores, kept, tf.cast(total, tf.int32) - count_true(kept))


def uniform(shape: Any, seed: Any) -> tf.Tensor:
    """Returns uniform random numbers in [0, 1) that depend on nothing but the two integers of `seed`."""
    return tf.random.stateless_uniform(shape, tf.cast(tf.convert_to_tensor(seed), tf.int32))


def share_out(shares: Any, room: Any, total: int) -> list[int]:
    """Divides a whole number by shares, none above its room; the sum is exactly `total` where there is room.

    Args:
        shares: non-negative numbers, not all zero where anything is divided.
        room: the most that each can take.
        total: what is divided.

    Example:
        >>> share_out([1.0, 3.0], [10, 10], 5), share_out([1.0, 3.0], [10, 3], 5)
        ([1, 4], [2, 3])
    """
    shares, room = np.maximum(np.asarray(shares, float), 0), np.asarray(room, int)
    given, total = np.zeros(len(room), int), min(int(total), int(room.sum()))
    while (left := total - int(given.sum())) > 0:
        open_ = given < room
        weights = np.where(open_, shares, 0.0)
        weights = weights if weights.sum() > 0 else open_.astype(float)
        exact = left * weights / weights.sum()
        whole = np.floor(exact).astype(int)
        order = np.argsort(-(exact - whole), kind="stable")
        whole[[i for i in order if open_[i]][: left - int(whole.sum())]] += 1
        given = np.minimum(given + whole, room)
    return given.tolist()
