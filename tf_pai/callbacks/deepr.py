"""DeepR: fixed signs, noise, and rewiring at random of what crosses zero."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.counting import count_true
from tf_pai.callbacks.slots import optimizers_of
from tf_pai.callbacks.weights import WeightState, moving_weights
from tf_pai.layers.dynamic import forget, recall, remember
from tf_pai.registry import register_method

REVIVED = 1e-12  # theta of a connection that comes to life: of its sign, and as good as zero


@register_method(
    "deepr",
    survey_name="DeepR",
    year=2018,
    reference="Bellec et al., ICLR 2018",
    track="dynamic",
    table_row="Table 3, row 2",
    k1="K",
)
class DeepR(DynamicMasks):
    """After each step: theta -= lr * l1, theta += sqrt(2 lr T) * noise; theta < 0 goes dormant, as many come at random.

    Every connection k has a fixed sign s_k, and w_k = s_k * theta_k while theta_k >= 0. The signs of weights alive at
    the start are theirs; the others are drawn. The number alive of each layer is strictly constant. A connection comes
    to life at theta = 1e-12.

    Args:
        l1: alpha, the strength of the drift towards zero.
        temperature: T, of the noise.
        update_every: steps between two rewirings, each with its drift and noise; 1 in the paper.
        **kwargs: see `DynamicMasks`; updates end with the training by default. What is dropped follows from the signs,
            so that the drop fraction plays no part.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.DeepR(l1=1e-5, seed=0).moves_every_step
        True

    Reference: Bellec et al. 2018, "Deep rewiring: training very sparse deep networks", algorithm 1.
    """

    share_of_training = 1.0

    def __init__(self, l1: float = 1e-5, temperature: float = 1e-9, update_every: int | str = 1, **kwargs: Any):
        super().__init__(update_every=update_every, **kwargs)
        self.l1, self.temperature = l1, temperature
        self.moves_every_step = update_every in (1, "1it")

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        super().check()
        checks.check_not_negative(self, "l1", "temperature")
        checks.check_optimizer(self)

    def prepare(self, model: keras.Model) -> None:
        """Gives every connection its sign."""
        for weight in moving_weights(model):
            name = f"sign/{weight.inner}"
            if recall(weight.layer, name) is None:
                value = weight.variable.numpy()
                drawn = np.random.default_rng([self.seed, weight.index]).random(value.shape) < 0.5
                remember(weight.layer, name, np.where(value != 0, value > 0, drawn))

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts at the start: asking for them at each step would cost more than the step."""
        return self.counts_at_start, self.counts_at_start

    def select(self, state: WeightState) -> tf.Tensor:
        """Moves the weights, and returns the mask without those that crossed zero, filled up at random."""
        sign = self._sign(state)
        rate = tf.cast(tf.convert_to_tensor(optimizers_of(self.optimizer)[0].learning_rate), state.value.dtype)
        theta = state.value * sign - rate * self.l1
        theta += tf.sqrt(2 * rate * self.temperature) * tf.cast(state.normal(), theta.dtype)
        state.value = theta * sign
        state.alive &= theta > 0  # the others are dormant, and begin anew even where chance picks them at once
        missing = state.total - count_true(state.alive)
        return rules.grow(state.random(1), state.alive, missing)

    def _sign(self, state: WeightState) -> tf.Tensor:
        positive = recall(state.weight.layer, f"sign/{state.weight.inner}")
        return tf.where(positive.value, tf.ones([], state.value.dtype), -tf.ones([], state.value.dtype))

    def revived(self, state: WeightState) -> tf.Tensor:
        """Returns 1e-12 of the connection's sign."""
        return self._sign(state) * REVIVED

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Forgets the signs when training is over."""
        if is_over:
            for weight in self.weights:
                forget(weight.layer)
