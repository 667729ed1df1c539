"""SynFlow: the flow of a network of absolute values, without data."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.data import embedding_sizes, input_specs
from tf_pai.criteria.problem import Problem, Tensors, dense


class SynFlow(Criterion):
    """s = |w| * dR/d|w|, R = 1^T f(1; |w|): all variables by absolute value, an input of ones.

    Computed in float64: products of many layers leave the range of float32.

    Args:
        training: BatchNorm's mode while scoring; the authors' code scores in inference mode.

    Reference: Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow",
    eq. 2 and algorithm 1; survey Table 2, row 6.

    Differs from the paper in: a model that takes token ids, for which there is no input of ones, gets every id once.
    """

    needs_data = needs_labels = False

    def __init__(self, training: bool = False):
        self.training = training

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns |w| * dR/d|w| of the pruned network."""
        saliency = problem.traced("flow", lambda masks: self._saliency(problem, _ones(problem), masks))
        return problem.arrays(saliency([tf.convert_to_tensor(masks[path]) for path in problem.paths]))

    def _saliency(self, problem: Problem, x: object, masks: Tensors) -> Tensors:
        values = [tf.abs(w) * tf.cast(m, w.dtype) for w, m in zip(problem.tensors("float64"), masks, strict=True)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            with problem.reading(values, "float64", absolute=True):
                outputs = keras.tree.flatten(problem.model(x, training=self.training))
            flow = tf.add_n([tf.reduce_sum(tf.cast(out, "float64")) for out in outputs])
        gradients = dense(tape.gradient(flow, values, unconnected_gradients="zero"))
        return [w * g for w, g in zip(values, gradients, strict=True)]


def _ones(problem: Problem) -> object:
    """One example of ones for each input; of ids, as many examples as it takes to hold every id."""

    def fill(spec: tf.TensorSpec) -> np.ndarray:
        shape = tuple(16 if n is None else n for n in spec.shape[1:])
        if spec.dtype.is_floating:
            return np.ones((1, *shape), spec.dtype.as_numpy_dtype)
        ids, length = min(embedding_sizes(problem.model), default=2), int(np.prod(shape))
        examples = -(-ids // length)
        return (np.arange(examples * length) % ids).reshape(examples, *shape).astype(spec.dtype.as_numpy_dtype)

    return keras.tree.map_structure(fill, input_specs(problem.model))
