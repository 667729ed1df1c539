"""MEST: drop by magnitude and gradient, under a soft bound of memory."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.weights import WeightState, moving_weights
from tf_pai.layers.dynamic import forget, recall, remember
from tf_pai.registry import register_method


@register_method(
    "mest",
    survey_name="MEST",
    year=2021,
    reference="Yuan et al., NeurIPS 2021",
    track="dynamic",
    k1="K",
)
class MEST(DynamicMasks):
    """Drops the smallest |w| + lambda * |dL/dw| of each layer, and grows at random or by gradient.

    With the soft bound (EM&S), an update first grows, and what is too much is dropped at the next one: a layer of n
    weights has n + fraction(t) * n between updates, and n after the last. Without it (EM), it has n throughout.

    Args:
        growth: "random" or "gradient".
        importance: lambda.
        soft_bound: whether more weights than n may be alive between updates.
        **kwargs: see `DynamicMasks`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.MEST(growth="gradient", soft_bound=False, seed=0).reads_gradient
        True

    Reference: Yuan et al. 2021, "MEST: accurate and fast memory-economic sparse training framework on the edge",
    section 3.
    """

    layerwise = False
    reads_gradient = True

    def __init__(self, growth: str = "random", importance: float = 0.01, soft_bound: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.growth, self.importance, self.soft_bound = growth, importance, soft_bound

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        checks.check_not_negative(self, "importance")
        checks.check_boolean(self, "soft_bound")
        if self.growth not in ("random", "gradient"):
            raise ValueError(f'growth is "random" or "gradient". Received: growth={self.growth!r}.')

    def prepare(self, model: keras.Model) -> None:
        """Remembers n of each weight in the model: a model saved between updates has more alive."""
        for weight in moving_weights(model):
            if recall(weight.layer, f"bound/{weight.inner}") is None:
                remember(weight.layer, f"bound/{weight.inner}", np.int32(np.count_nonzero(weight.mask.numpy())))

    def _bounds(self) -> list[int]:
        return [int(recall(weight.layer, f"bound/{weight.inner}").numpy()) for weight in self.weights]

    def _extra(self, bound: int, step: int) -> int:
        is_last = step + self.schedule.every > self.schedule.end
        if not self.soft_bound or is_last:
            return 0
        return rules.drop_count(self.fraction(step), bound, self.rounding)

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts after the drop, and in the end."""
        bounds = self._bounds()
        sizes = [weight.size for weight in self.weights]
        total = [min(n + self._extra(n, step), size) for n, size in zip(bounds, sizes, strict=True)]
        if self.soft_bound:
            return bounds, total
        return [n - rules.drop_count(self.fraction(step), n, self.rounding) for n in bounds], total

    def kept(self, step: int) -> int:
        """Returns the bounds' sum and what may come on top of it after `step`."""
        return sum(self.plan(step)[1])

    def drop_score(self, state: WeightState) -> tf.Tensor:
        """Returns |w| + lambda * |dL/dw|."""
        return state.magnitude() + self.importance * tf.cast(state.gradient_size(), state.value.dtype)

    def grow_score(self, state: WeightState) -> tf.Tensor:
        """Returns random numbers, or |dL/dw|."""
        return state.random() if self.growth == "random" else state.gradient_size()

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Forgets the bounds when training is over."""
        if is_over:
            for weight in self.weights:
                forget(weight.layer)
