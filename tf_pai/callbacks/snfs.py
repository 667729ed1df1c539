"""SNFS: sparse momentum. Drop by magnitude; redistribute and grow by momentum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.weights import WeightState
from tf_pai.registry import register_method

NEARLY_DENSE = 0.2  # a layer of lower sparsity is spared, where its share says that it wants to grow
ROOM = 0.99  # of the pruned places of a layer, the part that one update may fill


def prune_rates(shares: Sequence[float], sparsities: Sequence[float], rate: float) -> list[float]:
    """Returns the drop fraction of each layer: `rate`, at most the sparsity of a nearly dense layer that grows.

    Args:
        shares: of the momentum, summing to 1.
        sparsities: of the layers.
        rate: drop fraction.

    Example:
        >>> prune_rates([0.7, 0.3], [0.1, 0.9], 0.5)
        [0.1, 0.5]
    """
    grows = [share > 1 / len(shares) for share in shares]
    return [
        min(sparsity, rate) if sparsity < NEARLY_DENSE and growing else rate
        for sparsity, growing in zip(sparsities, grows, strict=True)
    ]


def regrowth(shares: Sequence[float], room: Sequence[int], total: float) -> list[float]:
    """Returns how many weights each layer grows, before rounding down.

    ceil(share * total), at most 0.99 of the layer's room; what does not fit is spread evenly, again and again.

    Args:
        shares: of the momentum, summing to 1.
        room: places pruned in each layer after the drop.
        total: how many were dropped in all.

    Example:
        >>> [round(n, 2) for n in regrowth([0.5, 0.5], [100, 4], 20)]
        [16.04, 3.96]
    """
    grown: list[float] = [math.ceil(share * total) for share in shares]
    for _ in range(1000):
        capped = [min(wanted, ROOM * free) for wanted, free in zip(grown, room, strict=True)]
        residual = sum(grown) - sum(capped)
        if residual <= 0:
            return capped
        grown = [n + residual / len(capped) for n in capped]
    return capped


@register_method(
    "snfs",
    survey_name="SNFS",
    year=2020,
    reference="Dettmers and Zettlemoyer, arXiv 2019",
    track="dynamic",
    table_row="Table 3, row 5",
    k1="K",
)
class SNFS(DynamicMasks):
    """Drops the smallest |w| of each layer, gives them to layers by mean |momentum|, grows the largest |momentum|.

    The momentum is the optimizer's own: of SGD's velocity, or Adam's m / sqrt(v). It is kept for pruned weights too,
    so that the optimizer gets dense gradients throughout (clipping by norm sees them). An optimizer without momentum
    has none to keep, and growth goes at random. The total is constant.

    Args:
        update_every: "1ep" in the paper.
        drop_fraction: see `DynamicMasks`.
        rounding: see `DynamicMasks`.
        **kwargs: see `DynamicMasks`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.SNFS(update_every="1ep", drop_fraction=0.5, seed=0).dense_gradients
        True

    Reference: Dettmers and Zettlemoyer 2019, "Sparse networks from scratch: faster training without losing
    performance", algorithm 1.

    Differs from the paper in: its code rounds each layer's growth down and corrects the total in later updates; here
    the total is exact at each.
    """

    layerwise = False
    dense_gradients = True
    resets_slots = False  # the momentum is what they grew by

    def __init__(
        self,
        update_every: int | str = 100,
        drop_fraction: float = 0.5,
        rounding: str = "ceil",
        **kwargs: Any,
    ):
        super().__init__(update_every=update_every, drop_fraction=drop_fraction, rounding=rounding, **kwargs)

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts after the drop, and after the redistribution."""
        alive, sizes = self.updater.counts(), [weight.size for weight in self.weights]
        shares = self.shares()
        sparsities = [1 - n / size for n, size in zip(alive, sizes, strict=True)]
        rates = prune_rates(shares, sparsities, self.fraction(step))
        dropped = [rules.drop_count(rate, n, self.rounding) for rate, n in zip(rates, alive, strict=True)]
        kept = [max(n - gone, 1) for n, gone in zip(alive, dropped, strict=True)]
        room = [size - n for size, n in zip(sizes, kept, strict=True)]
        removed = sum(alive) - sum(kept)
        grown = rules.share_out(regrowth(shares, room, removed), room, removed)
        return kept, [n + new for n, new in zip(kept, grown, strict=True)]

    def shares(self) -> list[float]:
        """Returns the mean |momentum| over the weights alive of each layer, as shares of their sum."""
        means = np.array([float(self._mean_momentum(WeightState.now(weight))) for weight in self.weights])
        means = np.where(np.isfinite(means), means, 0.0)
        return (means / means.sum() if means.sum() > 0 else np.full(len(means), 1 / len(means))).tolist()

    def _mean_momentum(self, state: WeightState) -> tf.Tensor:
        size = state.momentum_size()
        if size is None:
            return tf.reduce_mean(tf.cast(state.alive, tf.float32))
        return tf.reduce_sum(tf.where(state.alive, size, 0.0)) / tf.reduce_sum(tf.cast(state.alive, size.dtype))

    def grow_score(self, state: WeightState) -> tf.Tensor:
        """Returns |momentum|."""
        size = state.momentum_size()
        return state.random() if size is None else size
