"""Random scores: the baseline that every criterion has to beat."""

from __future__ import annotations

import numpy as np

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class Random(Criterion):
    """s ~ U(0, 1), one draw per weight.

    With a global distribution, layers lose about the same fraction each; "erk" is the stronger baseline.

    Reference: Liu et al. 2022, "The unreasonable effectiveness of random pruning", section 3.
    """

    needs_data = needs_labels = False

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns uniform numbers from the problem's seed; the same ones in each round."""
        generator = problem.generator()
        return {path: generator.random(weight.shape, dtype=np.float32) for path, weight in problem.weights.items()}
