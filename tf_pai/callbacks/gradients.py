"""The dense gradient of a batch, for loops of the user's own."""

from __future__ import annotations

import contextlib
import types
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.sparse_moving import SparseMovingWeight
from tf_pai.criteria.data import Batch
from tf_pai.criteria.losses import find_loss
from tf_pai.criteria.problem import Problem
from tf_pai.layers import PrunableWeight


class DenseGradients:
    """Called with a batch, gives {path: dL/dw} at the present weights, pruned ones included; changes nothing.

    Args:
        model: the model in training; its compiled loss is differentiated, or the one that fits its output activation.
        weights: the weights whose gradients are wanted.
    """

    def __init__(self, model: keras.Model, weights: list[MovingWeight]):
        chosen = {w.path: PrunableWeight(w.path, w.variable, w.layer, input_axis=-2, output_axis=-1) for w in weights}
        self.problem, self.weights = Problem(model, chosen), weights

    def __call__(self, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Returns {path: gradient, or what a layer in tiles has of it}."""
        problem = self.problem
        x, y, sample_weight = keras.tree.map_structure(_as_tensor, (x, y, sample_weight))
        if problem.loss is None:
            outputs = problem.outputs(problem.tensors(), keras.tree.map_structure(lambda v: v[:2], x))
            labels = keras.tree.map_structure(lambda v: np.asarray(v[:2]), y)
            problem.loss = find_loss(problem.model, None, labels, outputs)
        gradients = problem.traced("dense", self._gradients)(x, y, sample_weight, problem.tensors())
        return dict(zip(problem.paths, gradients, strict=True))

    def _gradients(self, x: Any, y: Any, sample_weight: Any, values: list[tf.Tensor]) -> list[Any]:
        seen = types.SimpleNamespace(dense={})
        with contextlib.ExitStack() as stack:
            for weight in self.weights:
                if isinstance(weight, SparseMovingWeight):
                    stack.enter_context(weight.dense_backward(seen))
            gradients = self.problem.gradient(Batch(x, y, sample_weight), values, training=True)
        return [weight.dense_gradient(g, seen) for weight, g in zip(self.weights, gradients, strict=True)]


def _as_tensor(value: Any) -> Any:
    return None if value is None else tf.convert_to_tensor(value)
