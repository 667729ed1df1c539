"""What is pruned: the pattern of weights that stay or go together (survey 2.2, topic 1)."""

from __future__ import annotations

import abc

import numpy as np

from tf_pai.layers import PrunableWeight
from tf_pai.topk import keep_highest

Weights = dict[str, PrunableWeight]
Arrays = dict[str, np.ndarray]


class Structure(abc.ABC):
    """A partition of each weight into elements; an element's score is the mean of its weights' scores.

    The mean, not the sum: where elements differ in size it is the score gained per weight kept.
    """

    density: float | None = None  # set where the structure itself says how many weights stay

    def takes_part(self, weight: PrunableWeight) -> bool:
        """Tells whether this weight can be pruned in this structure; if not, it stays dense."""
        del weight
        return True

    def check(self, weight: PrunableWeight) -> None:  # noqa: B027 - most structures fit every shape
        """Raises ValueError, naming the layer, where the weight's shape cannot be divided into elements."""

    @abc.abstractmethod
    def pool(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        """Returns the scores of the elements of one weight."""

    @abc.abstractmethod
    def spread(self, weight: PrunableWeight, kept: np.ndarray) -> np.ndarray:
        """Returns the mask of one weight, of its shape, from the boolean array of its elements."""

    def choose(self, weights: Weights, scores: Arrays, keep: int, min_keep: int = 0) -> Arrays:
        """Returns masks that together keep `keep` weights, exact to one element.

        Args:
            weights: {path: PrunableWeight} that share this budget.
            scores: {path: array of the weight's shape}, higher = keep.
            keep: number of weights to keep.
            min_keep: number of weights that no single weight array falls below.
        """
        pooled = {path: self.pool(weights[path], scores[path]) for path in scores}
        sizes = {path: scores[path].size // pool.size for path, pool in pooled.items()}
        forced = {path: min(-(-min_keep // sizes[path]), pool.size) for path, pool in pooled.items()}
        if min_keep:
            pooled = {path: _with_forced(pool, forced[path]) for path, pool in pooled.items()}
        floor = sum(forced[path] * sizes[path] for path in pooled)
        kept = _keep_elements(list(pooled.values()), list(sizes.values()), max(keep, floor))
        return {path: self.spread(weights[path], k) for path, k in zip(pooled, kept, strict=True)}


def _with_forced(pool: np.ndarray, count: int) -> np.ndarray:
    """The element scores, with the `count` highest raised above all others."""
    return np.where(keep_highest([pool], count)[0], np.inf, pool)


def _keep_elements(pools: list[np.ndarray], sizes: list[int], keep: int) -> list[np.ndarray]:
    """Keeps the best elements whose sizes add up to `keep`, as nearly as whole elements can."""
    if len(set(sizes)) == 1:
        at_least = 1 if keep else 0  # a budget smaller than half an element empties no layer
        return keep_highest(pools, min(max(round(keep / sizes[0]), at_least), sum(p.size for p in pools)))
    every_size = np.repeat(sizes, [p.size for p in pools])
    order = np.argsort(-np.concatenate([p.ravel() for p in pools]), kind="stable")
    reached = np.concatenate([[0], np.cumsum(every_size[order])])
    kept = np.zeros(len(order), bool)
    kept[order[: int(np.argmin(np.abs(reached - keep)))]] = True
    ends = np.cumsum([p.size for p in pools])
    return [k.reshape(p.shape) for k, p in zip(np.split(kept, ends[:-1]), pools, strict=True)]
