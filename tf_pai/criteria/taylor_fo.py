"""Taylor-FO: the squared first-order change of the loss."""

from __future__ import annotations

import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class TaylorFO(Criterion):
    """s = (g * w)^2, where g = dL/dw.

    It ranks single weights as SNIP does; the square tells where weights are pooled, in blocks and filters.

    Args:
        training: BatchNorm's mode while scoring.

    Reference: Molchanov et al. 2019, "Importance estimation for neural network pruning", eq. 8; survey Table 2, row 3.

    Differs from the paper in: the paper averages the score over the batches of a training epoch; here the gradients are
    summed over batches before the square.
    """

    def __init__(self, training: bool = False):
        self.training = training

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns (g * w)^2, g the gradient at the pruned network, summed over batches before the square."""
        gradients = problem.gradients(problem.masked(masks), self.training)
        return problem.arrays([tf.square(g * w) for w, g in zip(problem.tensors(), gradients, strict=True)])
