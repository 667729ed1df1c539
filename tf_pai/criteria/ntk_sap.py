"""NTK-SAP: keep the spectrum of the neural tangent kernel, for many random initializations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.data import random_inputs
from tf_pai.criteria.memory import ALWAYS_FITS, examples_that_fit
from tf_pai.criteria.problem import Problem, Tensors
from tf_pai.layers import ReadAs, walk
from tf_pai.layers.initializing import initial_value


class NTKSAP(Criterion):
    """s = |d/dm sum ||f(x; m * w) - f(x; m * (w + epsilon * z))||^2|, x, z ~ N(0, 1), w drawn anew in each round.

    The finite difference is an estimate of the tangent kernel's trace; it needs neither data nor labels. BatchNorm uses
    the statistics of x in the unperturbed network, as constants, in both.

    Args:
        epsilon: size of the perturbation; the authors' default.
        examples: number of random inputs; fewer where memory does not hold so many.
        redraw: whether weights are drawn anew from their layers' initializers; the mask is then one for the
            architecture, and not for its present weights.

    Raises:
        ValueError: a perturbation or a number of inputs that is not positive.

    Reference: Wang et al. 2023, "NTK-SAP: improving neural network pruning by aligning training dynamics",
    section 4 and algorithm 1.

    Differs from the paper in: one draw of weights and inputs per round, where the authors draw once for each batch
    that their pruning set would have; BatchNorm's variance is the biased one; token ids are uniform.
    """

    needs_data = needs_labels = False

    def __init__(self, epsilon: float = 0.01, examples: int = 128, redraw: bool = True):
        if epsilon <= 0 or examples < 1:
            raise ValueError(
                "NTK-SAP takes a positive perturbation and at least one input. "
                f"Received: epsilon={epsilon}, examples={examples}."
            )
        self.epsilon, self.examples, self.redraw = epsilon, examples, redraw

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns |dD/dm|, D the squared distance between the outputs; 0 for what is pruned."""
        kept = sum(int(mask.sum()) for mask in masks.values())
        generator = np.random.default_rng([problem.seed, kept])  # rounds differ in what is kept
        weights = problem.tensors()
        if self.redraw:
            seeds = generator.integers(2**31, size=len(weights))
            pairs = zip(problem.weights.values(), seeds, strict=True)
            weights = [tf.constant(initial_value(weight, int(seed))) for weight, seed in pairs]
        noise = [tf.constant(self.epsilon * generator.standard_normal(w.shape, np.float32)) for w in weights]
        x = self._inputs(problem, generator)
        tensors = [tf.constant(masks[path].astype("float32")) for path in problem.paths]
        saliency = problem.traced("saliency", lambda *arguments: _saliency(problem, *arguments))
        return problem.arrays(saliency(tensors, weights, noise, x))

    def _inputs(self, problem: Problem, generator: np.random.Generator) -> Any:
        x = random_inputs(problem.model, self.examples, generator)
        if self.examples > ALWAYS_FITS:
            count = max(1, examples_that_fit(problem.model, x) // 2)  # two networks are differentiated at once
            x = keras.tree.map_structure(lambda v: v[:count], x)
        return keras.tree.map_structure(tf.constant, x)


def _saliency(problem: Problem, masks: Tensors, weights: Tensors, noise: Tensors, x: Any) -> Tensors:
    statistics = _batch_statistics(problem, [w * m for w, m in zip(weights, masks, strict=True)], x)
    with tf.GradientTape(watch_accessed_variables=False) as tape, ReadAs(statistics, write_through=False):
        tape.watch(masks)
        plain = problem.outputs([w * m for w, m in zip(weights, masks, strict=True)], x)
        moved = problem.outputs([(w + e) * m for w, e, m in zip(weights, noise, masks, strict=True)], x)
        pairs = zip(keras.tree.flatten(plain), keras.tree.flatten(moved), strict=True)
        distance = tf.add_n([tf.reduce_sum(tf.square(a - b)) for a, b in pairs])
    gradients = tape.gradient(distance, masks, unconnected_gradients="zero")
    return [tf.abs(g) * m for g, m in zip(gradients, masks, strict=True)]


def _batch_statistics(problem: Problem, values: Tensors, x: Any) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Returns (moving mean or variance, its value in the batch `x`) of each BatchNormalization in training mode."""
    norms = [layer for _, layer in walk(problem.model) if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    if not norms:
        return []
    try:
        for norm in norms:
            norm.momentum = 0.0  # the moving statistics become those of the batch
        with problem.reading(values) as scope:
            problem.model(x, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    variables = [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]
    return [(v, scope.state_mapping[id(v)]) for v in variables if id(v) in scope.state_mapping]
