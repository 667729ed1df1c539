"""GraSP: keep the weights without which the gradient flow would shrink."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class GraSP(Criterion):
    """s = w * Hg, where g = dL/dw, H the Hessian, of the loss with logits divided by a temperature.

    The paper's score is -w * Hg, and it keeps the *lowest*; the sign is turned here, once, so that higher = keep.

    Args:
        temperature: T in softmax(logits / T); 1 switches it off. Used for cross-entropy losses.
        training: BatchNorm's mode while scoring; the authors' code scores in training mode.
        revives: whether weights pruned in an earlier round of an iterative schedule are scored again, and may return.

    Raises:
        ValueError: a temperature that is not positive.

    Reference: Wang et al. 2020, "Picking winning tickets before training by preserving gradient flow", eq. 8,
    algorithm 1; survey Table 2, row 5.

    Differs from the paper in: the authors' code re-initializes Linear layers before scoring; here they
    stay as they are.
    """

    def __init__(self, temperature: float = 200.0, training: bool = True, revives: bool = False):
        if temperature <= 0:
            raise ValueError(f"A temperature is positive. Received: temperature={temperature}.")
        self.temperature, self.training, self.revives = temperature, training, revives

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns w * Hg; g is summed over the batches first, then Hg over the batches.

        Of a network that is pruned already, w and g are those of its kept weights: a pruned weight scores 0.
        """
        values = problem.masked(masks)
        direction = None  # of a single batch, the own gradient is the whole gradient: one pass gives both
        if len(problem.batches) > 1 or not all(mask.all() for mask in masks.values()):
            gradients = problem.gradients(values, self.training, self.temperature)
            direction = [g * tf.cast(masks[path], g.dtype) for g, path in zip(gradients, problem.paths, strict=True)]
        products = problem.sum_over_batches("Hg", self._product(problem), values, direction)
        return problem.arrays([w * hg for w, hg in zip(values, products, strict=True)])

    def _product(self, problem: Problem) -> Callable:
        return lambda batch, values, g: problem.hessian_product(batch, values, g, self.training, self.temperature)
