"""Sparsity distributions: *how many* weights stay in each layer (survey 2.2, topic 2)."""

from __future__ import annotations

from collections.abc import Callable

from tf_pai.distributions.base import Budget, Distribution, Layerwise, Shapes, with_floor
from tf_pai.distributions.layer_rates import LayerRates
from tf_pai.distributions.smart_ratio import SmartRatio
from tf_pai.distributions.standard import ERK, Global, Patterns, Uniform
from tf_pai.registry import Registry

__all__ = [
    "DISTRIBUTIONS",
    "ERK",
    "Budget",
    "Distribution",
    "Global",
    "LayerRates",
    "Layerwise",
    "Patterns",
    "Shapes",
    "SmartRatio",
    "Uniform",
    "get",
    "with_floor",
]

DISTRIBUTIONS: Registry[Callable[[], Distribution]] = Registry("distribution")
DISTRIBUTIONS.register("global")(Global)
DISTRIBUTIONS.register("uniform")(Uniform)
DISTRIBUTIONS.register("erk")(ERK)
DISTRIBUTIONS.register("er")(lambda: ERK(kernel=False))
DISTRIBUTIONS.register("smart_ratio")(SmartRatio)
DISTRIBUTIONS.register("layer_rates")(LayerRates)


def get(distribution: str | dict[str, float] | Distribution) -> Distribution:
    """Returns the distribution of that name, of those patterns, or itself.

    Raises:
        ValueError: no distribution has that name.

    Example:
        >>> get("erk"), get({"conv*": 0.5})
        (erk, patterns {'conv*': 0.5})
    """
    if isinstance(distribution, Distribution):
        return distribution
    if isinstance(distribution, dict):
        return Patterns(distribution)
    return DISTRIBUTIONS.find(distribution)()
