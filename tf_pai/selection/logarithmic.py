"""Logarithmic: each weight of a small trained network is a sum of a few products of random weights.

what: single weights; how many: as many as the target needs; which: a golden-ratio expansion of its weights; weights:
frozen, hyperbolic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_pai.layers.prunable import PACKAGE
from tf_pai.registry import register_method
from tf_pai.selection.construction import Construction, Edge
from tf_pai.selection.target import TargetLayer

GOLDEN = (math.sqrt(5) - 1) / 2  # g with g + g^2 = 1


@keras.saving.register_keras_serializable(PACKAGE)
class Hyperbolic(keras.initializers.Initializer):
    """Draws w of random sign with density proportional to 1 / |w| in [low, high]: log |w| is uniform.

    Args:
        low: smallest magnitude, above 0.
        high: largest magnitude.
        seed: the same seed gives the same values.
    """

    def __init__(self, low: float, high: float, seed: int = 0):
        self.low, self.high, self.seed = low, high, seed

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        """Returns a tensor of `shape`."""
        generator = np.random.default_rng(self.seed)
        magnitude = np.exp(generator.uniform(math.log(self.low), math.log(self.high), shape))
        return keras.ops.convert_to_tensor(magnitude * generator.choice([-1.0, 1.0], shape), dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"low": self.low, "high": self.high, "seed": self.seed}


@register_method(
    "logarithmic",
    survey_name="Logarithmic",
    year=2020,
    reference="Orseau et al., NeurIPS 2020",
    track="selection",
    table_row="",
)
class Logarithmic(Construction):
    """|w| = sum_k b_k z_k, b_k in {0, 1}: each z_k = |U V| lies in [g^(k+2), g^(k+1)] * wmax, g the golden ratio .618.

    The rest r of |w| begins in [0, wmax]. If r > g^(k+1) wmax, z_k is subtracted, and g + g^2 = 1 leaves at most
    g^(k+1) wmax; if not, r is that small already. K = log(wmax / error) / log(1 / g) steps leave at most `error`: the
    number of neurons per weight grows with log(1 / epsilon).

    V and U are hyperbolic, so that the logarithm of a product has a triangular density, and of each sign of V a neuron
    is fit for a step with the probability p = 1 / (8 K) or more. Each neuron is offered, for each step k and sign, to
    the first weight that lacks that step, in random order; it is taken with the probability p / 2 or more for each,
    whatever became of the earlier ones. By Chernoff's bound, all are served with probability 1 - delta if

        width = (2 n + 8 log(S K / delta)) * 16 K,   n = weights of the layer, S = signs of its inputs.

    Args:
        epsilon: see `Construction`.
        width: see `Construction`.
        delta: see `Construction`.
        radius: see `Construction`.
        limit: see `Construction`.

    Example:
        >>> target = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> target.set_weights([np.array([[0.5], [-0.25]])])
        >>> made = Logarithmic(epsilon=1e-3).build(target)
        >>> x = np.random.default_rng(0).uniform(-0.7, 0.7, (100, 2))
        >>> bool(np.abs(made.model(x) - target(x)).max() <= 1e-3)
        True

    Reference: Orseau et al. 2020, "Logarithmic pruning is all you need": golden-ratio decomposition, product weights,
    batch sampling.
    Differs from the paper in: the constants of the width, which are those of the argument above; biases; one neuron per
    step where an input is never negative.
    """

    def _steps(self, layer: TargetLayer, error: float) -> int:
        return max(2, math.ceil(math.log(max(layer.largest, 1e-12) / error) / -math.log(GOLDEN)))

    def theorem_width(self, layer: TargetLayer, error: float, delta: float) -> float:
        """Returns (2 n + 8 log(S K / delta)) * 16 K."""
        steps, count = self._steps(layer, error), int(np.count_nonzero(layer.kernel))
        sides = max(len(layer.signs(i)) for i in range(len(layer.kernel)))
        return (2 * count + 8 * math.log(sides * steps / delta)) * 16 * steps if count else 1.0

    def initializers(self, layer: TargetLayer, error: float, seeds: list[int]) -> list[keras.Initializer]:
        """Returns hyperbolic distributions: the middle half of the products' range is what the steps need."""
        steps, unit = self._steps(layer, error), math.sqrt(max(layer.largest, 1e-12))
        high = unit * GOLDEN ** ((1 - steps / 2) / 2)
        return [Hyperbolic(high * GOLDEN**steps, high, seed) for seed in seeds]

    def choose(self, layer: TargetLayer, error: float, v: np.ndarray, u: np.ndarray) -> Iterator[Edge]:
        """Yields the neurons whose products make up each weight, of those that were dealt to it."""
        steps = self._steps(layer, error)
        served = {
            side: [(i, o) for (i, o), w in np.ndenumerate(layer.kernel) if w and side in layer.signs(i)]
            for side in (1, -1)
        }
        dealt = _dealt(layer, served, steps, v, u)
        for side, places in served.items():
            for (i, o), neurons in zip(places, dealt[side], strict=True):
                rest = abs(layer.kernel[i, o])
                for k, j in enumerate(neurons):
                    if j >= 0 and rest > GOLDEN ** (k + 1) * layer.largest:
                        rest -= abs(float(v[i, j]) * float(u[j, o]))
                        yield i, int(j), o


def _dealt(
    layer: TargetLayer, served: dict[int, list[Any]], steps: int, v: np.ndarray, u: np.ndarray
) -> dict[int, np.ndarray]:
    """Returns {sign of V: [weights, steps]}: the neuron that each weight has for each step, or -1.

    The neurons come one by one. What each is dealt to is drawn among the steps whose next weight, the first that lacks
    the step, it fits.
    """
    dealt = {side: np.full((len(places), steps), -1) for side, places in served.items()}
    side = np.repeat([side for side, places in served.items() if places], steps)
    total = np.array([len(served[s]) for s in side])
    step = np.tile(np.arange(steps), len(side) // steps)
    upper, following = layer.largest * GOLDEN ** (step + 1), np.zeros(len(side), int)
    table = np.array([places + [(0, 0)] * (max(total) - len(places)) for places in served.values() if places])
    row, generator = np.repeat(np.arange(len(table)), steps), np.random.default_rng(0)
    for j in range(v.shape[1]):
        lacking = np.flatnonzero(following < total)
        if not len(lacking):
            break
        i, o = table[row[lacking], following[lacking]].T
        first = v[i, j].astype("float64") * side[lacking]
        second = u[j, o] * side[lacking] * np.sign(layer.kernel[i, o])
        product, high = first * second, upper[lacking]
        fits = np.flatnonzero((first > 0) & (second > 0) & (product <= high) & (product >= GOLDEN * high))
        if len(fits):
            c = lacking[generator.choice(fits)]
            dealt[side[c]][following[c], step[c]] = j
            following[c] += 1
    return dealt
