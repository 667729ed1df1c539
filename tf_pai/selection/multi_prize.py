"""Multi-Prize: binary weights with one scale per layer and learned masks (MPT-1/32), binary activations too (MPT-1/1).

what: single weights or any structure; how many: a fraction k of each layer; which: |score|; weights: frozen signs.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai.layers.prunable import PACKAGE
from tf_pai.registry import nearest, register_method
from tf_pai.selection.rule import Rule, straight_through


@register_method(
    "multi_prize",
    survey_name="Multi-Prize",
    year=2021,
    reference="Diffenderfer & Kailkhura, ICLR 2021",
    track="selection",
    table_row="",
)
@keras.saving.register_keras_serializable(PACKAGE)
class MultiPrize(Rule):
    """Biprop: computes with alpha * sign(w) * m, alpha = sum(|w| * m) / sum(m); dL/ds = dL/dw_eff * w * sign(s).

    Args:
        activations: "real", or "binary": sign(x) for every rectifier, its gradient that of x clipped to [-1, 1].
        scale: whether the weights are multiplied by 1/sqrt(k), which keeps the variance of the activations.
        regularizer: see `Rule`.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc")])
        >>> model = tf_pai.select_subnet(model, "multi_prize", 0.5, weights="kaiming_normal", seed=0)
        >>> len(np.unique(np.abs(tf_pai.strip(model).get_layer("fc").kernel)))  # 0 and alpha
        2

    Reference: Diffenderfer & Kailkhura 2021, "Multi-prize lottery ticket hypothesis", algorithm 1 (biprop).
    Differs from the paper in: counts are exact, round(k * n); the scale 1/sqrt(k), which networks without BatchNorm
    need; a sign's gradient is that of a clipped line, in the authors' code that of a clipped parabola.
    """

    def __init__(self, activations: str = "real", scale: bool = True, regularizer: Any = None):
        super().__init__(regularizer)
        if activations not in ("real", "binary"):
            raise ValueError(
                f'Activations are "real" or "binary". Received: activations={activations!r}.'
                f"{nearest(str(activations), ['real', 'binary'])}"
            )
        self.activations, self.binary_activations = activations, activations == "binary"
        self.scale = self.scales_weights = scale

    def effective(self, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, seed: Any = None) -> tf.Tensor:
        """Returns alpha * sign(w) * mask."""
        mask = tf.cast(mask, w.dtype)
        alpha = tf.math.divide_no_nan(tf.reduce_sum(tf.abs(w) * mask), tf.reduce_sum(mask))
        return straight_through(alpha * tf.sign(w) * mask, w, scores, mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "activations": self.activations, "scale": self.scale}
