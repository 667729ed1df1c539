"""Skeletonization: relevance, the loss without a weight minus the loss with it."""

from __future__ import annotations

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class Skeletonization(Criterion):
    """s = -g * w, where g = dL/dw: to first order L(without the weight) - L(with it).

    The sign counts, and is the published one: a weight whose removal lowers the loss has a negative score and goes
    first, however large |g * w| is.

    Args:
        training: BatchNorm's mode while scoring; the paper is older than BatchNorm.

    Reference: Mozer and Smolensky 1989, "Skeletonization: a technique for trimming the fat from a network via relevance
    assessment", section 2; survey Table 2, row 1.

    Differs from the paper in: it scores weights, as the survey does, where the paper scores units, and it uses the
    user's loss, where the paper uses the absolute error.
    """

    def __init__(self, training: bool = False):
        self.training = training

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns -g * w, g the gradient at the pruned network, summed over batches."""
        gradients = problem.gradients(problem.masked(masks), self.training)
        return problem.arrays([-g * w for w, g in zip(problem.tensors(), gradients, strict=True)])
