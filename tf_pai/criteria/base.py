"""Which weights stay: a score per weight (survey 2.2, topic 3)."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np

from tf_pai.criteria.problem import Problem

Scores = dict[str, np.ndarray]
Masks = dict[str, np.ndarray]


class Criterion(abc.ABC):
    """A score for every weight; higher = keep.

    Attributes:
        needs_data: whether the score depends on inputs and labels.
        needs_labels: whether it depends on labels.
        revives: whether a weight pruned in an earlier round may return in a later one.
        own_budget: whether the score itself says how many weights each layer keeps; only single weights and the
            "global" budget go with it.
        training: BatchNorm's mode while scoring, that of the paper's own code.
        batches: how many batches of a dataset are scored; None for all.
    """

    needs_data: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    own_budget: ClassVar[bool] = False
    revives: bool = False
    training: bool = False
    batches: int | None = 1

    @abc.abstractmethod
    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns {path: float array of the weight's shape}, not normalised, higher = keep.

        Args:
            problem: the model as a function of its weights, with its data and loss.
            masks: {path: boolean array}: the network as pruned so far (all True in the first round).
        """

    def __repr__(self) -> str:
        return type(self).__name__
