"""Rates per layer of iterative pruning: each round takes the same fraction of what a layer has left."""

from __future__ import annotations

import math

from tf_pai.distributions.base import Layerwise, Shapes
from tf_pai.layers.choosing import matches


class LayerRates(Layerwise):
    """Density of a layer after t rounds = (1 - rate of the layer)^t, t such that the whole has the asked density.

    Args:
        rate: fraction of a layer's weights that a round removes, in (0, 1).
        last: that of the last layer; default: rate / 2.
        rates: {path pattern (fnmatch): rate} for others; the first pattern that matches counts, before `last`.

    Raises:
        ValueError: a rate outside (0, 1).

    Example:
        >>> LayerRates(0.2).density_after({"fc1/kernel": (300, 100), "fc2/kernel": (100, 10)}, rounds=1)
        0.8032258064516129

    Reference: Frankle & Carbin 2019, "The lottery ticket hypothesis", figure 2: 20 %, 10 % in the output layer;
    convolutions of Conv-2, -4, -6: 10, 10, 15 %.
    """

    def __init__(self, rate: float = 0.2, last: float | None = None, rates: dict[str, float] | None = None):
        self.rate, self.last, self.rates = rate, rate / 2 if last is None else last, dict(rates or {})
        for value in (self.rate, self.last, *self.rates.values()):
            if not 0 < value < 1:
                raise ValueError(f"A round removes a fraction in (0, 1). Received: rate={value!r}.")

    def densities(self, shapes: Shapes, density: float) -> dict[str, float]:
        """Returns {path: density}."""
        if density >= 1:
            return dict.fromkeys(shapes, 1.0)
        low, high = 0.0, 1.0
        while self.density_after(shapes, high) > density:
            high *= 2
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if self.density_after(shapes, middle) > density else (low, middle)
        return {path: (1 - rate) ** high for path, rate in self._rates(shapes).items()}

    def density_after(self, shapes: Shapes, rounds: float) -> float:
        """Returns the density of the whole after so many rounds; they need not be a whole number."""
        sizes = {path: math.prod(shape) for path, shape in shapes.items()}
        left = sum(sizes[path] * (1 - rate) ** rounds for path, rate in self._rates(shapes).items())
        return left / sum(sizes.values())

    def _rates(self, shapes: Shapes) -> dict[str, float]:
        rates = dict.fromkeys(shapes, self.rate)
        rates[list(shapes)[-1]] = self.last
        for path in shapes:
            pattern = next((pattern for pattern in self.rates if matches(path, pattern)), None)
            if pattern is not None:
                rates[path] = self.rates[pattern]
        return rates

    def __repr__(self) -> str:
        own = f", {self.rates}" if self.rates else ""
        return f"layer_rates({self.rate:g}, last {self.last:g}{own})"
