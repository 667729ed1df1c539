"""SNIP: connection sensitivity."""

from __future__ import annotations

import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class SNIP(Criterion):
    """s = |dL/dw * w| = |dL/dc| at c = 1, where c multiplies w.

    Args:
        training: BatchNorm's mode while scoring; the authors' code scores in inference mode.
        revives: whether weights pruned in an earlier round of an iterative schedule are scored again, and may return.

    Reference: Lee et al. 2019, "SNIP: single-shot network pruning based on connection sensitivity", eq. 5;
    survey Table 2, row 4.

    Differs from the paper in: biases are never scored (the authors' TF1 code ranks them too), and scores are not
    divided by their sum, which changes no ranking.
    """

    def __init__(self, training: bool = False, revives: bool = False):
        self.training, self.revives = training, revives

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns |w * g|, g the gradient at the pruned network, summed over batches before the absolute value."""
        gradients = problem.gradients(problem.masked(masks), self.training)
        return problem.arrays([tf.abs(w * g) for w, g in zip(problem.tensors(), gradients, strict=True)])
