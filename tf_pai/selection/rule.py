"""What differs from paper to paper: how scores begin, which mask they mean, and what the layer computes with."""

from __future__ import annotations

import abc
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai import structures
from tf_pai.callbacks.rules import largest
from tf_pai.layers import PrunableWeight
from tf_pai.selection.threshold import largest_near


class Rule(abc.ABC):
    """One paper's way from scores to a subnet. Rules hold settings only: state is in the layer.

    Args:
        regularizer: Keras regularizer of the scores, e.g. `keras.regularizers.L2(0.5e-4)`; None for none.
    """

    magnitudes = True  # whether |scores| are compared, rather than scores
    scales_weights = False  # whether the frozen weights are multiplied by 1/sqrt(k)
    takes_structures = True
    binary_activations = False  # whether sign(x) takes the place of rectifiers
    draws = False  # whether `effective` is random in training

    def __init__(self, regularizer: Any = None):
        self.regularizer = keras.regularizers.get(regularizer)

    def first_scores(self, weight: PrunableWeight, keep: int, generator: np.random.Generator) -> np.ndarray:
        """Returns initial scores: Kaiming-uniform with a = sqrt(5), U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
        del keep
        bound = 1 / math.sqrt(fan_in(weight))
        return generator.uniform(-bound, bound, weight.shape).astype("float32")

    def rank(self, scores: tf.Tensor, seed: Any = (0, 0)) -> tf.Tensor:
        """Returns what the highest are kept of or, with `magnitudes`, the highest magnitudes.

        Args:
            scores: tensor.
            seed: two integers that what is random in it depends on.
        """
        del seed
        return scores

    def count(self, scores: tf.Tensor, keep: int) -> Any:
        """Returns how many are kept."""
        del scores
        return keep

    def mask(
        self,
        weight: PrunableWeight,
        scores: tf.Tensor,
        keep: int,
        structure: str,
        seed: Any = (0, 0),
        guess: Any = None,
    ) -> tf.Tensor:
        """Returns the mask that the scores mean, 1 = kept: exactly `keep` kept, ties to the lower flat index.

        Args:
            weight: the weight, for its shape and axes.
            scores: tensor of its shape.
            keep: number of weights to keep.
            structure: a spelling that `structures.get` knows.
            seed: see `rank`.
            guess: variable that remembers the threshold from step to step, as `largest_near` takes it; None for none.
        """
        ranks = self.rank(scores, seed)
        if structure == "unstructured":
            return self._highest(ranks, self.count(scores, keep), guess)
        pattern, path = structures.get(structure), weight.path

        def choose(rank: np.ndarray) -> np.ndarray:
            return pattern.choose({path: weight}, {path: rank}, keep)[path]

        chosen = tf.numpy_function(choose, self._compared([ranks]), tf.bool)
        return tf.cast(tf.ensure_shape(chosen, weight.shape), tf.float32)

    def comparable(self, weight: PrunableWeight, ranks: tf.Tensor) -> tf.Tensor:
        """Returns ranks that are alike in all layers, in units of what `first_scores` begins with."""
        return ranks * math.sqrt(fan_in(weight))

    def masks(
        self,
        weights: list[PrunableWeight],
        scores: list[tf.Tensor],
        keep: int,
        structure: str,
        seeds: list[Any],
        guess: Any = None,
    ) -> list[tf.Tensor]:
        """Returns the masks, 1 = kept, of weights that compete for one budget, `keep` kept in all.

        Args:
            weights: the weights, in model order; equal ranks keep the earlier one.
            scores: a tensor for each.
            keep: number of weights to keep.
            structure: a spelling that `structures.get` knows.
            seeds: for each, as in `rank`.
            guess: see `mask`.
        """
        ranks = [self.comparable(w, self.rank(s, seed)) for w, s, seed in zip(weights, scores, seeds, strict=True)]
        if structure == "unstructured":
            flat = [tf.concat([tf.reshape(part, [-1]) for part in parts], 0) for parts in (ranks, scores)]
            chosen = self._highest(flat[0], self.count(flat[1], keep), guess)
            chosen = tf.split(chosen, [math.prod(w.shape) for w in weights])
            return [tf.reshape(part, weight.shape) for part, weight in zip(chosen, weights, strict=True)]
        pattern, named = structures.get(structure), {str(i): weight for i, weight in enumerate(weights)}

        def choose(*ranks: np.ndarray) -> list[np.ndarray]:
            return list(pattern.choose(named, dict(zip(named, ranks, strict=True)), keep).values())

        chosen = tf.numpy_function(choose, self._compared(ranks), [tf.bool] * len(weights))
        return [
            tf.cast(tf.ensure_shape(mask, weight.shape), tf.float32)
            for mask, weight in zip(chosen, weights, strict=True)
        ]

    def _highest(self, ranks: tf.Tensor, count: Any, guess: Any) -> tf.Tensor:
        """The mask of the `count` highest ranks."""
        if guess is None:
            return tf.cast(largest(self._compared([ranks])[0], count), tf.float32)
        mask, following = largest_near(ranks, count, tf.convert_to_tensor(guess.value), self.magnitudes)
        guess.assign(following)
        return mask

    def _compared(self, ranks: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.abs(part) for part in ranks] if self.magnitudes else ranks

    def scores_of(self, mask: np.ndarray, weight: PrunableWeight, scores: np.ndarray) -> np.ndarray:
        """Returns scores that mean `mask`, from those that `first_scores` gave: all kept ranks are above all others."""
        return np.copysign(np.abs(scores) + mask / math.sqrt(fan_in(weight)), scores).astype("float32")

    @abc.abstractmethod
    def effective(self, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, seed: Any = None) -> tf.Tensor:
        """Returns the weight that the layer computes with; its gradient reaches `scores`, and not `w`.

        Args:
            w: the frozen weight.
            scores: tensor of its shape.
            mask: float tensor of its shape, 1 = kept.
            seed: two integers that random choices of this step depend on; None outside training.
        """

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"regularizer": keras.regularizers.serialize(self.regularizer) if self.regularizer else None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Rule:
        """Returns the rule of these arguments."""
        return cls(**config)


def fan_in(weight: PrunableWeight) -> int:
    """Returns how many inputs each output of the weight sums over."""
    shape = weight.shape
    if "Depthwise" in type(weight.owner).__name__:
        return math.prod(shape[:-2])
    return math.prod(shape) // shape[weight.output_axis]


def straight_through(
    forward: tf.Tensor, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, magnitudes: bool = True
) -> tf.Tensor:
    """Returns `forward`; to |scores|, without `magnitudes` to scores, and to `mask`, it has the gradient of w * mask.

    With g the gradient of the loss in the effective weight: dL/ds = g * w * sign(s), or g * w, kept or pruned alike.
    """

    @tf.custom_gradient
    def pass_through(scores: tf.Tensor, mask: tf.Tensor) -> Any:
        def gradient(g: Any) -> Any:
            to_mask = tf.convert_to_tensor(g) * w
            to_scores = tf.cast(to_mask, scores.dtype)  # scores stay float32 where the weights are not
            return to_scores * tf.sign(scores) if magnitudes else to_scores, to_mask

        return tf.identity(forward), gradient

    return pass_through(scores, tf.cast(mask, w.dtype))
