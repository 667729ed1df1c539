"""Magnitude: keep what is large."""

from __future__ import annotations

import numpy as np

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem


class Magnitude(Criterion):
    """s = |w|.

    At initialization with fan-in scaling and a global distribution it empties the widest layers first.

    Reference: Han et al. 2015, "Learning both weights and connections", section 3.1.
    """

    needs_data = needs_labels = False

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns |w|."""
        return {path: np.abs(value) for path, value in problem.values().items()}
