"""Hidden (edge-popup): the top k of the scores' magnitudes, trained straight through.

what: single weights or any structure; how many: a fraction k of each layer; which: |score|; weights: frozen.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai.layers.prunable import PACKAGE
from tf_pai.registry import register_method
from tf_pai.selection.rule import Rule, straight_through


@register_method(
    "hidden",
    survey_name="Hidden",
    year=2020,
    reference="Ramanujan et al., CVPR 2020",
    track="selection",
    table_row="",
)
@keras.saving.register_keras_serializable(PACKAGE)
class Hidden(Rule):
    """Edge-popup: computes with w * h(s), h(s) = 1 for the k highest |s| of a layer; dL/ds = dL/dw_eff * w * sign(s).

    Args:
        scale: whether the weights are multiplied by 1/sqrt(k), which keeps the variance of the activations.
        regularizer: see `Rule`.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> model = tf_pai.select_subnet(model, "hidden", 0.75, seed=0)
        >>> int(tf_pai.get_masks(model)["fc/kernel"].sum())
        2

    Reference: Ramanujan et al. 2020, "What's hidden in a randomly weighted neural network?", equations 2-5.
    Differs from the paper in: counts are exact, round(k * n), ties to the lower index; |s| as in the authors' code.
    """

    def __init__(self, scale: bool = True, regularizer: Any = None):
        super().__init__(regularizer)
        self.scale = self.scales_weights = scale

    def effective(self, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, seed: Any = None) -> tf.Tensor:
        """Returns w * mask."""
        return straight_through(w * tf.cast(mask, w.dtype), w, scores, mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "scale": self.scale}
