"""GraNet: gradual magnitude pruning with neuroregeneration at each step of it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai import distributions
from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.dense_start import DenseStart
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.schedule import cubic_sparsity
from tf_pai.callbacks.weights import WeightState, moving_weights
from tf_pai.masks import masked_weights, set_masks
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.registry import register_method


@register_method(
    "granet",
    survey_name="GraNet",
    year=2021,
    reference="Liu et al., NeurIPS 2021",
    track="dynamic",
    k1="K",
)
class GraNet(DenseStart):
    """Prunes by magnitude along a cubic schedule, all layers together; each update drops more and grows it back.

    After step t the sparsity is s + (s_0 - s) * (1 - t / T_end)^3. The regeneration drops the smallest |w| of a layer,
    and grows as many of the largest |dL/dw|, zeros.

    Args:
        sparsity: s, at the end.
        initial_sparsity: s_0. An unpruned model begins with random masks of that sparsity, as ERK divides it; 0 begins
            dense. A pruned model begins with its own masks, and is pruned from where the schedule asks for more.
        **kwargs: see `DenseStart` and `DynamicMasks`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.GraNet(sparsity=0.9, initial_sparsity=0.5, seed=0).starts_dense
        True

    Reference: Liu et al. 2021, "Sparse training via boosting pruning plasticity with neuroregeneration", algorithm 1.
    """

    reads_gradient = True

    def __init__(self, sparsity: float | None = None, initial_sparsity: float = 0.5, **kwargs: Any):
        super().__init__(sparsity, **kwargs)
        self.initial_sparsity = initial_sparsity

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        if not checks.is_number(self.initial_sparsity) or not 0 <= self.initial_sparsity < self.sparsity:
            raise ValueError(
                "initial_sparsity lies between 0 and sparsity. Received: "
                f"initial_sparsity={self.initial_sparsity!r} and sparsity={self.sparsity!r}."
            )
        if masked_weights(self.model):
            alive, wanted = self.alive_and_wanted()
            if alive < wanted:  # not by sparsities: those of whole numbers of weights are rounded
                raise ValueError(
                    f"GraNet prunes a model further. Received: a model of sparsity {sparsity_of(self.model):.4f}, and "
                    f"sparsity={self.sparsity!r}. Begin with a denser one, or ask for more."
                )

    def needs_sparsity(self) -> bool:
        """Tells whether a sparsity has to be given: always."""
        return True

    def prepare(self, model: keras.Model) -> None:
        """Gives an unpruned model masks, random ones where it does not begin dense."""
        super().prepare(model)
        if sparsity_of(model) == 0 and self.initial_sparsity > 0:
            set_masks(model, self._random_masks(model))

    def _random_masks(self, model: keras.Model) -> dict[str, np.ndarray]:
        weights = {weight.path: weight for weight in moving_weights(model)}
        shapes = {path: tuple(weight.variable.shape) for path, weight in weights.items()}
        masks = {}
        for budget in distributions.get("erk").budgets(shapes, 1 - self.initial_sparsity):
            path = budget.paths[0]
            scores = np.random.default_rng([self.seed, weights[path].index]).random(shapes[path])
            masks[path] = largest(scores, budget.keep).numpy()
        return masks

    def sparsity_at(self, step: int) -> float:
        """Returns what the schedule asks for after `step`."""
        return cubic_sparsity(self.initial_sparsity, self.sparsity, self._progress(step))

    def _progress(self, step: int) -> float:
        is_last = step + self.schedule.every > self.schedule.end
        return 1.0 if is_last else self.schedule.progress(step)

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts after pruning and the drop, and after the growth."""
        alive = self.updater.counts()
        wanted = self.target(self.sparsity_at(step))
        total = min(sum(wanted), sum(alive))
        counts = [min(n, own) for n, own in zip(wanted, alive, strict=True)]
        room = [own - n for n, own in zip(counts, alive, strict=True)]
        counts = [n + more for n, more in zip(counts, rules.share_out(room, room, total - sum(counts)), strict=True)]
        fraction = self.fraction(step)
        return [n - rules.drop_count(fraction, n, self.rounding) for n in counts], counts

    def kept(self, step: int) -> int:
        """Returns what the schedule keeps after `step`."""
        return sum(self.target(self.sparsity_at(step)))

    def grow_score(self, state: WeightState) -> tf.Tensor:
        """Returns |dL/dw|."""
        return state.gradient_size()
