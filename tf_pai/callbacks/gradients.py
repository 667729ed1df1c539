"""Updates by the dense gradient of a batch, for loops of the user's own."""

from __future__ import annotations

import contextlib
import types
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks.sparse_moving import SparseMovingWeight
from tf_pai.callbacks.updater import Updater
from tf_pai.criteria.data import Batch
from tf_pai.criteria.losses import find_loss
from tf_pai.criteria.problem import Problem
from tf_pai.layers import PrunableWeight


class BatchUpdate:
    """Updates masks by the dense gradient of a batch at the present weights; changes nothing else.

    One graph, so that each gradient is freed as soon as its own weight has been updated.

    Args:
        model: the model in training; its compiled loss is differentiated, or the one that fits its output activation.
        updater: what updates its masks.
    """

    def __init__(self, model: keras.Model, updater: Updater):
        chosen = {
            w.path: PrunableWeight(w.path, w.variable, w.layer, input_axis=-2, output_axis=-1) for w in updater.weights
        }
        self.problem, self.updater = Problem(model, chosen), updater

    def __call__(self, plan: tuple[tf.Tensor, ...], x: Any, y: Any, sample_weight: Any = None) -> tf.Tensor:
        """Returns what `Updater.update` does, which `plan` is the arguments of."""
        problem = self.problem
        x, y, sample_weight = keras.tree.map_structure(_as_tensor, (x, y, sample_weight))
        if problem.loss is None:
            outputs = problem.outputs(problem.tensors(), keras.tree.map_structure(lambda v: v[:2], x))
            labels = keras.tree.map_structure(lambda v: np.asarray(v[:2]), y)
            problem.loss = find_loss(problem.model, None, labels, outputs)
        update = tf.autograph.experimental.do_not_convert(self._update)
        return problem.traced("update", update)(plan, x, y, sample_weight)

    def _update(self, plan: Any, x: Any, y: Any, sample_weight: Any) -> tf.Tensor:
        step, keep, total = plan
        return self.updater.update(step, keep, total, self._gradients(Batch(x, y, sample_weight)))

    def _gradients(self, batch: Batch) -> dict[str, Any]:
        """{path: gradient, or what a layer in tiles has of it}."""
        problem, weights = self.problem, self.updater.weights
        seen = types.SimpleNamespace(dense={})
        with contextlib.ExitStack() as stack:
            for weight in weights:
                if isinstance(weight, SparseMovingWeight):
                    stack.enter_context(weight.dense_backward(seen))
            gradients = problem.gradient(batch, problem.tensors(), training=True)
        return {w.path: w.dense_gradient(g, seen) for w, g in zip(weights, gradients, strict=True)}


def _as_tensor(value: Any) -> Any:
    return None if value is None else tf.convert_to_tensor(value)
