"""The mask criteria of Zhou et al. 2019: functions of a weight's initial and final value, higher = keep."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tf_pai.registry import Registry
from tf_pai.topk import keep_highest

MASK_CRITERIA: Registry[Callable[[np.ndarray, np.ndarray], np.ndarray]] = Registry("mask criterion")


@MASK_CRITERIA.register("large_final")
def large_final(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f|."""
    del initial
    return np.abs(final)


@MASK_CRITERIA.register("small_final")
def small_final(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns -|w_f|."""
    del initial
    return -np.abs(final)


@MASK_CRITERIA.register("large_init")
def large_init(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_i|."""
    del final
    return np.abs(initial)


@MASK_CRITERIA.register("small_init")
def small_init(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns -|w_i|."""
    del final
    return -np.abs(initial)


@MASK_CRITERIA.register("large_init_large_final")
def large_init_large_final(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns the lower of the ranks of |w_i| and |w_f|: the two thresholds are the same quantile."""
    return np.minimum(_ranks(np.abs(initial)), _ranks(np.abs(final)))


@MASK_CRITERIA.register("small_init_small_final")
def small_init_small_final(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns the lower of the ranks of -|w_i| and -|w_f|."""
    return np.minimum(_ranks(-np.abs(initial)), _ranks(-np.abs(final)))


@MASK_CRITERIA.register("magnitude_increase")
def magnitude_increase(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f| - |w_i|."""
    return np.abs(final) - np.abs(initial)


@MASK_CRITERIA.register("movement")
def movement(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f - w_i|."""
    return np.abs(final - initial)


@MASK_CRITERIA.register("large_final_same_sign")
def large_final_same_sign(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f| where the sign has not changed, else 0."""
    return np.where(np.sign(initial) == np.sign(final), np.abs(final), 0.0)


@MASK_CRITERIA.register("large_final_diff_sign")
def large_final_diff_sign(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f| where the sign has changed, else 0."""
    return np.where(np.sign(initial) == np.sign(final), 0.0, np.abs(final))


@MASK_CRITERIA.register("magnitude_increase_same_sign")
def magnitude_increase_same_sign(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f| - |w_i| where the sign has not changed, else 0."""
    return np.where(np.sign(initial) == np.sign(final), magnitude_increase(initial, final), 0.0)


@MASK_CRITERIA.register("magnitude_increase_diff_sign")
def magnitude_increase_diff_sign(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns |w_f| - |w_i| where the sign has changed, else 0."""
    return np.where(np.sign(initial) == np.sign(final), 0.0, magnitude_increase(initial, final))


def _ranks(values: np.ndarray) -> np.ndarray:
    order = np.argsort(values, axis=None, kind="stable")
    ranks = np.empty(values.size)
    ranks[order] = np.arange(values.size)
    return ranks.reshape(values.shape)


def mask_by(criterion: str, initial: np.ndarray, final: np.ndarray, density: float) -> np.ndarray:
    """Returns the mask of one weight that keeps its round(density * n) highest scores, ties to the lower flat index.

    Args:
        criterion: a name in `MASK_CRITERIA`.
        initial: the weight at initialization.
        final: the weight after training.
        density: fraction kept; after p rounds that keep a fraction b each, b^p.

    Raises:
        ValueError: no criterion has that name, shapes that differ, or a density outside (0, 1].

    Example:
        >>> mask_by("magnitude_increase", np.array([1.0, -2.0, 3.0]), np.array([2.0, 2.5, 0.0]), 2 / 3).tolist()
        [True, True, False]

    Reference: Zhou et al. 2019, "Deconstructing lottery tickets", figure 3.
    Differs from the paper in: the authors' code keeps n - int((1 - density) * n), and breaks ties at random.
    """
    if initial.shape != final.shape:
        raise ValueError(f"Both values have the weight's shape. Received: {initial.shape} and {final.shape}.")
    if not 0 < density <= 1:
        raise ValueError(f"A density is a number in (0, 1], the fraction kept. Received: density={density!r}.")
    score = MASK_CRITERIA.find(criterion)(initial, final)
    return keep_highest([score], round(density * initial.size))[0]


def act_on_pruned(initial: np.ndarray, final: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the initial weight with pruned entries frozen at 0 where they moved towards 0, else at `initial`.

    Args:
        initial: the weight at initialization.
        final: the weight after training.
        mask: boolean, True = kept.

    Example:
        >>> act_on_pruned(np.array([1.0, 1.0, 1.0]), np.array([0.5, 2.0, 0.0]), np.array([False, False, True])).tolist()
        [0.0, 1.0, 1.0]

    Reference: Zhou et al. 2019, section 3 (mask-0 actions).
    """
    towards_zero = np.abs(final) < np.abs(initial)
    return np.where(mask | ~towards_zero, initial, 0.0)
