"""Top-KAST: compute with the largest weights, learn the next largest too."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.background import BackgroundWeights
from tf_pai.callbacks.counting import count_true
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.weights import WeightState, moving_weights
from tf_pai.layers import prunable_layers
from tf_pai.layers.dynamic import recall, remember
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.registry import register_method


@register_method(
    "topkast",
    survey_name="Top-KAST",
    year=2020,
    reference="Jayakumar et al., NeurIPS 2020",
    track="dynamic",
    k1="K",
)
class TopKAST(BackgroundWeights):
    """Computes with the largest |w| of each layer (A), and gives gradients to a larger set (B); both are chosen anew.

    A model that is dense becomes sparse at once. The L2 penalty strength * (w_A^2 + w_{B - A}^2 / D) / 2, D being the
    density of A, lets B explore.

    Args:
        sparsity: of A; see `BackgroundWeights`.
        backward_sparsity: of B, below `sparsity`; default: B is twice as dense as A.
        exploration_strength: of the penalty; it is part of the gradient and not of the reported loss.
        **kwargs: see `DenseStart` and `DynamicMasks`; the drop fraction, its decay and rounding play no part.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.TopKAST(sparsity=0.9, backward_sparsity=0.5, seed=0).keeps_dense_weights
        True

    In its training FLOPs, gradients count as those of all weights: an upper bound where B is sparse.

    Reference: Jayakumar et al. 2020, "Top-KAST: Top-K always sparse training", sections 2.1 to 2.3.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        backward_sparsity: float | None = None,
        exploration_strength: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(sparsity, **kwargs)
        self.backward_sparsity, self.exploration_strength = backward_sparsity, exploration_strength

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        checks.check_not_negative(self, "exploration_strength")
        forward, backward = self._sparsities()
        if not checks.is_number(backward) or not 0 <= backward <= forward:
            raise ValueError(
                "backward_sparsity lies between 0 and the sparsity of the forward pass. Received: "
                f"backward_sparsity={backward!r} and sparsity={forward!r}."
            )

    def _sparsities(self) -> tuple[float, float]:
        forward = sparsity_of(self.model) if self.sparsity is None else self.sparsity
        backward = max(1 - 2 * (1 - forward), 0.0) if self.backward_sparsity is None else self.backward_sparsity
        return forward, backward

    def prepare(self, model: keras.Model) -> None:
        """Chooses the first A where the model is dense, lets pruned weights go, and chooses the first B."""
        is_dense = sparsity_of(model) == 0
        forward, backward = self._sparsities()
        self.exploration = (self.exploration_strength, 1 / (1 - forward))
        self._growth = (1 - backward) / (1 - forward)
        super().prepare(model)
        if is_dense:
            masks = self.largest_masks(model)
            for weight in moving_weights(model):
                weight.mask.assign(masks[weight.path])
        for layer in prunable_layers(model).values():
            for inner, (variable, mask) in layer.pairs.items():
                if recall(layer, f"backward/{inner}") is None:
                    kept = count_true(tf.not_equal(mask.value, 0))
                    remember(layer, f"backward/{inner}", self._backward(variable.value, mask.value != 0, kept).numpy())

    def is_short(self) -> bool:
        """Tells whether the model is denser than asked: never, the first A is chosen before the first step."""
        return False

    def _backward(self, value: tf.Tensor, forward: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        wanted = tf.cast(tf.round(tf.cast(kept, tf.float64) * self._growth), tf.int32)
        return rules.grow(tf.abs(value), forward, wanted - kept)

    def select(self, state: WeightState) -> tf.Tensor:
        """Returns A, and sets B."""
        new = largest(state.magnitude(), state.total)
        backward = recall(state.weight.layer, f"backward/{state.weight.inner}")
        backward.assign(self._backward(state.value, new, state.total))
        return new
