"""DNS: magnitude with hysteresis; pruned weights go on learning and may come back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks
from tf_pai.callbacks.background import BackgroundWeights
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.weights import WeightState, moving_weights
from tf_pai.layers.dynamic import recall, remember
from tf_pai.registry import register_method

DEFAULT_THRESHOLD = 1.0  # of normally distributed weights, keeps about one in eight


@register_method(
    "dns",
    survey_name="DNS",
    year=2016,
    reference="Guo et al., NeurIPS 2016",
    track="dynamic",
    table_row="Table 3, row 1",
    k1="K",
    k2="K",
)
class DNS(BackgroundWeights):
    """Prunes and splices by |w| of a dense network that learns on: m = 0 below a, 1 above b, else as it was.

    With a `sparsity`, a and b are such that exactly that is reached at each update: the highest |w| / a of the weights
    alive and |w| / b of the others stay, a : b = 0.9 : 1.1. With `threshold` c, a = 0.9 t and b = 1.1 t,
    t = mean|w| + c * std|w| of each layer, and the sparsity follows. After step i, masks are updated with probability
    (1 + gamma * i)^-power.

    Args:
        sparsity: see `BackgroundWeights`.
        threshold: c, in place of a sparsity; 1 for an unpruned model where neither is given.
        hysteresis: (a, b) in units of t.
        gamma: of the probability's decay.
        power: of the probability's decay.
        update_every: steps between two updates that can take place.
        **kwargs: see `DenseStart` and `DynamicMasks`; the drop fraction plays no part.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> model.compile("sgd", "mse")
        >>> dns = tf_pai.callbacks.DNS(sparsity=0.75, end_step=4, seed=0)
        >>> history = model.fit(np.ones((16, 8)), np.ones((16, 4)), batch_size=2, verbose=0, callbacks=[dns])
        >>> tf_pai.sparsity(model), tf_pai.verify(model)
        (0.75, True)

    Reference: Guo et al. 2016, "Dynamic network surgery for efficient DNNs", eq. 3 and algorithm 1.

    Differs from the paper in: its code takes mean and deviation once, at the start; here they are the present ones.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        threshold: float | None = None,
        hysteresis: tuple[float, float] = (0.9, 1.1),
        gamma: float = 1e-4,
        power: float = 1.0,
        update_every: int | str = 1,
        **kwargs: Any,
    ):
        super().__init__(sparsity, update_every=update_every, **kwargs)
        self.threshold, self.hysteresis, self.gamma, self.power = threshold, hysteresis, gamma, power
        self._threshold: float | None = threshold  # in use
        self.moves_every_step = update_every in (1, "1it")

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        if self.threshold is not None and self.sparsity is not None:
            raise ValueError(
                f"DNS takes a sparsity or a threshold. Received: sparsity={self.sparsity!r} and "
                f"threshold={self.threshold!r}. Pass one of them."
            )
        if not _is_rising_pair(self.hysteresis):
            raise ValueError(f"hysteresis is (a, b), 0 < a <= b. Received: hysteresis={self.hysteresis!r}.")
        super().check()
        checks.check_not_negative(self, "gamma", "power")
        if self.threshold is not None and not checks.is_number(self.threshold):
            raise ValueError(f"threshold is a number, of standard deviations. Received: threshold={self.threshold!r}.")

    def prepare(self, model: keras.Model) -> None:
        """Lets pruned weights go; the model remembers by which threshold, where no argument says so."""
        is_default = super().needs_sparsity() and self.sparsity is None and self.threshold is None
        super().prepare(model)
        layer = moving_weights(model)[0].layer
        if is_default:
            remember(layer, "deviations", np.float32(DEFAULT_THRESHOLD))
        known = recall(layer, "deviations") if self.sparsity is None else None
        self._threshold = self.threshold if self.threshold is not None or known is None else float(known.numpy())

    def needs_sparsity(self) -> bool:
        """Tells whether a sparsity has to be given: never, a threshold does as well."""
        return False

    def is_due(self, step: int) -> bool:
        """Tells whether masks are updated after `step`: by the schedule, and by chance."""
        chance = (1 + self.gamma * step) ** -self.power
        return super().is_due(step) and np.random.default_rng([self.seed, step]).random() < chance

    def kept(self, step: int) -> int | None:
        """Returns what the asked sparsity keeps, None where a threshold decides."""
        return None if self._threshold is not None else super().kept(step)

    def select(self, state: WeightState) -> tf.Tensor:
        """Returns the new mask."""
        size, (low, high) = state.magnitude(), self.hysteresis
        hysteresis = tf.cast(tf.where(state.alive, low, high), size.dtype)
        if self._threshold is None:
            return largest(size / hysteresis, state.total)
        border = tf.reduce_mean(size) + self._threshold * tf.math.reduce_std(size)
        above = size > tf.nn.relu(border) * hysteresis
        return above | largest(size, 1)


def _is_rising_pair(value: Any) -> bool:
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(checks.is_number, value))
    return is_pair and 0 < value[0] <= value[1]
