"""DSR: one adaptive threshold for all layers; growth at random where weights survive."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.weights import moving_weights
from tf_pai.layers.dynamic import forget, recall, remember
from tf_pai.registry import register_method


def adapted(threshold: float, pruned: int, target: float, tolerance: float) -> float:
    """Returns the next threshold: doubled where fewer than (1 - tolerance) * target were pruned, halved above.

    Example:
        >>> adapted(0.1, pruned=5, target=10, tolerance=0.1), adapted(0.1, pruned=20, target=10, tolerance=0.1)
        (0.2, 0.05)
    """
    if pruned < (1 - tolerance) * target:
        return threshold * 2
    return threshold / 2 if pruned > (1 + tolerance) * target else threshold


@register_method(
    "dsr",
    survey_name="DSR",
    year=2019,
    reference="Mostafa and Wang, ICML 2019",
    track="dynamic",
    table_row="Table 3, row 4",
    k1="K",
)
class DSR(DynamicMasks):
    """Prunes |w| < H in all layers, and gives what was pruned to layers in proportion to what survived there.

    The threshold H is the same for all layers. It doubles where an update prunes less than (1 - tolerance) of the
    target drop_fraction * weights alive, and halves where it prunes more than (1 + tolerance) of it. The total is
    constant. Every layer keeps one weight at least.

    Args:
        threshold: H at the start.
        tolerance: of the number pruned.
        update_every: see `DynamicMasks`.
        drop_fraction: see `DynamicMasks`; of all weights alive together.
        decay: see `DynamicMasks`.
        **kwargs: see `DynamicMasks`; the threshold decides what is dropped, so that `rounding` plays no part.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.DSR(update_every=100, threshold=1e-3, seed=0).layerwise
        False

    Reference: Mostafa and Wang 2019, "Parameter efficient training of deep convolutional neural networks by dynamic
    sparse reparameterization", algorithm 1.
    """

    layerwise = False

    def __init__(
        self,
        threshold: float = 1e-3,
        tolerance: float = 0.1,
        update_every: int | str = 100,
        drop_fraction: float = 0.1,
        decay: str = "constant",
        **kwargs: Any,
    ):
        super().__init__(update_every=update_every, drop_fraction=drop_fraction, decay=decay, **kwargs)
        self.threshold, self.tolerance = threshold, tolerance

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        checks.check_not_negative(self, "threshold", "tolerance")
        if self.threshold == 0:
            raise ValueError(f"threshold is above 0. Received: threshold={self.threshold!r}. Pass e.g. 1e-3.")

    def prepare(self, model: keras.Model) -> None:
        """Puts the threshold in the model, from where it is saved and restored."""
        layer = moving_weights(model)[0].layer
        if recall(layer, "threshold") is None:
            remember(layer, "threshold", np.float32(self.threshold))

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns what survives the threshold, and what each layer then has; adapts the threshold."""
        memory = recall(self.weights[0].layer, "threshold")
        threshold, alive = float(memory.numpy()), self.updater.counts()
        survivors = [max(int(n), 1) for n in self._above(threshold)]
        pruned = sum(alive) - sum(survivors)
        memory.assign(adapted(threshold, pruned, self.fraction(step) * sum(alive), self.tolerance))
        room = [weight.size - n for weight, n in zip(self.weights, survivors, strict=True)]
        grown = rules.share_out(survivors, room, pruned)
        return survivors, [n + new for n, new in zip(survivors, grown, strict=True)]

    def _above(self, threshold: float) -> list[tf.Tensor]:
        return [
            tf.math.count_nonzero((tf.abs(w.variable.value) >= threshold) & (w.mask.value != 0)) for w in self.weights
        ]

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Forgets the threshold when training is over."""
        if is_over:
            forget(self.weights[0].layer)
