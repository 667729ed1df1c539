"""Deconstruct: learned supermasks, drawn from Bernoulli distributions whose logits are the scores.

what: single weights; how many: a fraction k of each layer to begin with; which: the likeliest; weights: frozen.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.layers import PrunableWeight
from tf_pai.layers.prunable import PACKAGE
from tf_pai.registry import register_method
from tf_pai.selection.rule import Rule, straight_through

CERTAIN = 17.0  # a logit whose probability is 1 - 4e-8, and beyond every logit(u) of a draw


@register_method(
    "deconstruct",
    survey_name="Deconstruct",
    year=2019,
    reference="Zhou et al., NeurIPS 2019",
    track="selection",
    table_row="",
)
@keras.saving.register_keras_serializable(PACKAGE)
class Deconstruct(Rule):
    """Supermasks: trains with w * b * n / sum(b), b ~ Bernoulli(sigmoid(s)), straight through the draw.

    Outside training b is the mask: one more draw, always with the same random numbers, of round(sum(sigmoid(s)))
    weights. So the sparsity asked for is that of the start; training changes it. Scores are logits, and move by several
    units: they need larger steps than weights do.

    Only a layer that is told that it trains draws: the `call` of a subclassed model has to take `training`.

    Args:
        rescale: dynamic weight rescaling, the factor n / sum(b).
        regularizer: see `Rule`.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> tf_pai.sparsity(tf_pai.select_subnet(model, "deconstruct", 0.75, seed=0))
        0.75

    Reference: Zhou et al. 2019, "Deconstructing lottery tickets: zeros, signs, and the supermask", section 5.
    Differs from the paper in: outside training, one drawn mask instead of the mean accuracy of ten; no gradient through
    n / sum(b).
    """

    magnitudes = False
    takes_structures = False
    draws = True

    def __init__(self, rescale: bool = True, regularizer: Any = None):
        super().__init__(regularizer)
        self.rescale = rescale

    def first_scores(self, weight: PrunableWeight, keep: int, generator: np.random.Generator) -> np.ndarray:
        """Returns logit(k) everywhere, at most 4, with enough noise to break ties."""
        k = keep / math.prod(weight.shape)
        logit = 4.0 if k > 0.98 else math.log(k / (1 - k))
        return (logit + generator.uniform(-1e-3, 1e-3, weight.shape)).astype("float32")

    def rank(self, scores: tf.Tensor, seed: Any = (0, 0)) -> tf.Tensor:
        """Returns s - logit(u), u uniform: above 0 with the probability sigmoid(s)."""
        u = tf.random.stateless_uniform(tf.shape(scores), seed, minval=1e-6)
        return scores - tf.math.log(u) + tf.math.log1p(-u)

    def count(self, scores: tf.Tensor, keep: int) -> tf.Tensor:
        """Returns the expected number of weights that stay, at least 1."""
        del keep
        return tf.maximum(tf.cast(tf.round(tf.reduce_sum(tf.sigmoid(scores))), tf.int32), 1)

    def comparable(self, weight: PrunableWeight, ranks: tf.Tensor) -> tf.Tensor:
        """Returns the ranks: probabilities are alike in all layers."""
        del weight
        return ranks

    def scores_of(self, mask: np.ndarray, weight: PrunableWeight, scores: np.ndarray) -> np.ndarray:
        """Returns logits so large that every draw is the mask."""
        del weight, scores
        return np.where(mask, CERTAIN, -CERTAIN).astype("float32")

    def effective(self, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, seed: Any = None) -> tf.Tensor:
        """Returns w * b * n / sum(b)."""
        probability, b = tf.sigmoid(scores), tf.cast(mask, w.dtype)
        if seed is not None:
            b = tf.cast(tf.random.stateless_uniform(tf.shape(scores), seed) < probability, w.dtype)
        forward = w * b
        if self.rescale:
            factor = tf.math.divide_no_nan(tf.cast(tf.size(b), w.dtype), tf.reduce_sum(b))
            forward, w = forward * factor, w * factor
        return straight_through(forward, w, probability, mask, magnitudes=False)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "rescale": self.rescale}
