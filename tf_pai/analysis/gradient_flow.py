"""The norm of the loss's gradient, over the kept weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.criteria import Criterion
from tf_pai.criteria.base import Masks, Scores
from tf_pai.criteria.making import make_problem
from tf_pai.criteria.problem import Problem
from tf_pai.layers import participating
from tf_pai.masks import get_masks


class _SquaredGradient(Criterion):
    """(dL/dw)^2, zero for pruned weights."""

    def __init__(self, training: bool):
        self.training = training

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns the squared gradient of the loss summed over the batches."""
        gradients = problem.arrays(problem.gradients(problem.masked(masks), self.training))
        return {path: np.where(masks[path], g.astype("float64") ** 2, 0.0) for path, g in gradients.items()}


def gradient_flow(
    model: keras.Model, data: Any, *, loss: Any = None, batches: int | None = None, training: bool = False
) -> dict[str, float]:
    """Returns {weight path: sum of (dL/dw)^2 over its kept weights}; their sum is the network's gradient flow g^T g.

    After a small step of gradient descent the loss falls in proportion to it. Call it on the model before and after
    pruning; the model is untouched.

    Args:
        model: a built model, pruned or not.
        data: a dataset of (x, y) batches, or one pair of arrays.
        loss: a Keras loss; default: the compiled one, else the one that fits the output activation.
        batches: how many batches of a dataset; default 1.
        training: BatchNorm's mode.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros", name="fc")])
        >>> x, y = np.array([[1.0, 2.0]]), np.array([[3.0]])
        >>> gradient_flow(model, (x, y), loss="mse")  # g = -2 * 3 * x = (-6, -12)
        {'fc/kernel': 180.0}

    Reference: Evci et al. 2022, "Gradient flow in sparse neural networks and how lottery tickets win", section 2.
    """
    criterion, weights = _SquaredGradient(training), participating(model)
    problem = make_problem(model, weights, criterion, data=data, loss=loss, batches=batches)
    known = get_masks(model)
    masks = {path: known.get(path, np.ones(weight.shape, bool)) for path, weight in weights.items()}
    return {path: float(score.sum()) for path, score in criterion.score(problem, masks).items()}
