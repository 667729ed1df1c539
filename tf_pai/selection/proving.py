"""Proving: pairs of neurons of a wide random network stand for each weight of a small trained one.

what: single weights; how many: as many as the target needs; which: those near its weights; weights: frozen, uniform.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from tf_pai.registry import register_method
from tf_pai.selection.construction import Construction, Edge, neurons_for
from tf_pai.selection.target import TargetLayer


@register_method(
    "proving",
    survey_name="Proving",
    year=2020,
    reference="Malach et al., ICML 2020",
    track="selection",
    table_row="",
)
class Proving(Construction):
    """w h = relu(w h) - relu(-w h): two neurons with V near |w| and -|w|, and U near sign(w) and -sign(w).

    V is uniform in [-c, c], c = max(1, |w|), and U in [-1, 1]. A neuron is fit if V and U are both within
    eta = error / (1 + c): then |U V - w| <= error. That has the probability eta / (2 c) * eta / 2 or more, so that

        width = (2 R + 8 log(R / delta)) * 4 c / eta^2,   R = weights of the layer * signs of its inputs,

    which grows with 1 / epsilon^2. Of the neurons that are left, the nearest is taken.

    Args:
        epsilon: see `Construction`.
        width: see `Construction`.
        delta: see `Construction`.
        radius: see `Construction`.
        limit: see `Construction`.

    Example:
        >>> target = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> target.set_weights([np.array([[0.5], [-0.25]])])
        >>> made = Proving(epsilon=0.2).build(target)
        >>> x = np.random.default_rng(0).uniform(-0.7, 0.7, (100, 2))
        >>> bool(np.abs(made.model(x) - target(x)).max() <= 0.2)
        True

    Reference: Malach et al. 2020, "Proving the lottery ticket hypothesis: pruning is all you need", theorem 2.1 and its
    lemmas on weight-subnetworks.
    Differs from the paper in: weights of any size, norms as they are, and biases; one neuron where an input is never
    negative; all weights of a layer choose from the same neurons, in place of neurons of their own.
    """

    def _tolerance(self, layer: TargetLayer, error: float) -> tuple[float, float]:
        c = max(1.0, layer.largest)
        return min(error / (1 + c), 1.0), c

    def theorem_width(self, layer: TargetLayer, error: float, delta: float) -> float:
        """Returns (2 R + 8 log(R / delta)) * 4 c / eta^2."""
        eta, c = self._tolerance(layer, error)
        needs = sum(len(layer.signs(i)) * int(np.count_nonzero(row)) for i, row in enumerate(layer.kernel))
        return neurons_for(needs, eta**2 / (4 * c), delta)

    def initializers(self, layer: TargetLayer, error: float, seeds: list[int]) -> list[keras.Initializer]:
        """Returns uniform distributions."""
        bounds = (self._tolerance(layer, error)[1], 1.0)
        return [keras.initializers.RandomUniform(-b, b, seed=seed) for b, seed in zip(bounds, seeds, strict=True)]

    def choose(self, layer: TargetLayer, error: float, v: np.ndarray, u: np.ndarray) -> Iterator[Edge]:
        """Yields, for each weight and sign of its input, the free neuron whose V and U are nearest."""
        free = np.ones(v.shape[1], bool)
        for (i, o), w in np.ndenumerate(layer.kernel):
            for sign in layer.signs(i) if w else ():
                distance = np.maximum(np.abs(v[i] - sign * abs(w)), np.abs(u[:, o] - sign * np.sign(w)))
                distance[~free] = np.inf
                j = int(np.argmin(distance))
                if free[j] and v[i, j] * sign > 0:
                    free[j] = False
                    yield i, j, o
