"""What methods share that begin with a dense network, or let pruned weights live on in the background."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai import distributions
from tf_pai.callbacks import checks
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.weights import moving_weights
from tf_pai.layers import participating
from tf_pai.layers.inplace import wrap_in_place
from tf_pai.masks import masked_weights
from tf_pai.masks import sparsity as sparsity_of


class DenseStart(DynamicMasks):
    """A method that accepts an unpruned model: its prunable weights get masks of ones, in place.

    Args:
        sparsity: what the masks reach, in (0, 1); of a pruned model, by default what its masks have.
        distribution: "global" (the largest magnitudes of all layers together), "uniform", "erk", {pattern: sparsity}.
        include: pattern or patterns (fnmatch) of weights or layers that get a mask, where the model has none yet.
        exclude: pattern or patterns of those that get none.
        **kwargs: see `DynamicMasks`.
    """

    starts_dense = True
    layerwise = False

    def __init__(
        self,
        sparsity: float | None = None,
        distribution: Any = "global",
        include: Any = None,
        exclude: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sparsity: Any = sparsity
        self.distribution = distribution
        self.include, self.exclude = include, exclude

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        checks.check_sparsity(self, needed=self.needs_sparsity())
        distributions.get(self.distribution)
        if not masked_weights(self.model):
            participating(self.model, self.include, self.exclude)

    def needs_sparsity(self) -> bool:
        """Tells whether a sparsity has to be given: the masks of a pruned model have one."""
        return sparsity_of(self.model) == 0

    def prepare(self, model: keras.Model) -> None:
        """Puts masks of ones on a model that has none."""
        if not masked_weights(model):
            wrap_in_place(model, list(participating(model, self.include, self.exclude)))

    def is_short(self) -> bool:
        """Tells whether the model is denser than asked."""
        if self.sparsity is None or sparsity_of(self.model) == 0:
            return sparsity_of(self.model) == 0
        alive, wanted = self.alive_and_wanted()
        return alive > wanted

    def alive_and_wanted(self) -> tuple[int, int]:
        """Returns how many places of a model with masks are alive, and how many the asked sparsity keeps."""
        weights = moving_weights(self.model)
        alive = sum(int(np.count_nonzero(weight.mask.numpy())) for weight in weights)
        return alive, sum(self.target(self.sparsity, weights))

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Says so where the model is denser than asked all the same."""
        if (is_over or getattr(model, "stop_training", False)) and self.is_short():
            warnings.warn(
                f"{type(self).__name__}(sparsity={self.sparsity!r}) ends at a sparsity of {sparsity_of(model):.4f}: "
                "training stopped, or went back to weights (EarlyStopping), before the schedule's last step. Watch the "
                "metric from that step on (start_from_epoch), or lower end_step.",
                stacklevel=2,
            )

    def target(self, sparsity: float, weights: list[MovingWeight] | None = None) -> list[int]:
        """Returns how many places of each weight make up that sparsity, one at least.

        Where weights share a budget, those of the largest magnitude get it.

        Args:
            sparsity: in [0, 1).
            weights: default: those whose masks move.
        """
        weights = self.weights if weights is None else weights
        shapes = {weight.path: tuple(weight.variable.shape) for weight in weights}
        counts: dict[str, int] = {}
        for budget in distributions.get(self.distribution).budgets(shapes, 1 - sparsity):
            group = [weight for weight in weights if weight.path in budget.paths]
            own = [budget.keep] if len(group) == 1 else magnitude_counts(group, budget.keep)
            counts.update(zip((weight.path for weight in group), own, strict=True))
        return [counts[weight.path] for weight in weights]

    def largest_masks(self, model: keras.Model) -> dict[str, np.ndarray]:
        """Returns {path: mask} of the largest |w| at the asked sparsity, of a model that has masks."""
        weights = moving_weights(model)
        return {
            weight.path: largest(tf.abs(weight.variable.value), count).numpy()
            for weight, count in zip(weights, self.target(self.sparsity, weights), strict=True)
        }


def magnitude_counts(weights: list[MovingWeight], total: int) -> list[int]:
    """Returns how many of each weight's places are among the `total` largest |w| of all, one at least of each."""
    sizes = [weight.size for weight in weights]
    flat = tf.concat([tf.reshape(tf.abs(tf.cast(w.variable.value, tf.float32)), [-1]) for w in weights], 0)
    chosen = tf.split(largest(flat, total), sizes)
    counts = [int(tf.math.count_nonzero(part)) for part in chosen]
    counts = [max(count, 1) for count in counts]
    while (excess := sum(counts) - total) > 0 and max(counts) > 1:  # what the emptied ones were given
        counts[counts.index(max(counts))] -= min(excess, max(counts) - 1)
    return counts
