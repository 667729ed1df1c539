"""Smart ratio: how many weights a random ticket keeps in each layer."""

from __future__ import annotations

import math

from tf_pai.distributions.base import Layerwise, Shapes


class SmartRatio(Layerwise):
    """Density of layer l of L ~ (L - l + 1)^2 + (L - l + 1), falling with depth; linear layers keep a fixed fraction.

    What a layer cannot hold is handed on to the next one. Weights of rank 2 are the linear layers.

    Args:
        linear: fraction of a linear layer's weights to keep.
        vgg: whether densities are divided by l^2, as the authors do for VGG.

    Example:
        >>> shapes = {"conv1": (3, 3, 8, 8), "conv2": (3, 3, 8, 8), "fc": (8, 10)}
        >>> [budget.keep for budget in SmartRatio().budgets(shapes, density=0.2)]
        [148, 74, 24]

    Raises:
        ValueError: `linear` is no fraction.

    Reference: Su et al. 2020, "Sanity-checking pruning methods: random tickets can win the jackpot", section 4.1.

    Differs from the paper in: where the linear layers' fixed fraction does not fit into the budget (a network of linear
    layers alone, say), or the other layers cannot hold the rest, linear layers follow the law like all others.
    """

    def __init__(self, linear: float = 0.3, vgg: bool = False):
        if not 0 < linear <= 1:
            raise ValueError(f"Linear layers keep a fraction in (0, 1]. Received: linear={linear!r}.")
        self.linear, self.vgg = linear, vgg

    def densities(self, shapes: Shapes, density: float) -> dict[str, float]:
        """Returns {path: density}."""
        sizes = {path: math.prod(shape) for path, shape in shapes.items()}
        fixed = [path for path, shape in shapes.items() if len(shape) == 2]
        others = {path: size for path, size in sizes.items() if path not in fixed}
        goal = int(density * sum(sizes.values())) - int(self.linear * sum(sizes[path] for path in fixed))
        if not 0 < goal <= sum(others.values()):
            fixed, others, goal = [], sizes, int(density * sum(sizes.values()))
        return {**dict.fromkeys(shapes, self.linear), **_handed_on(self._scaled(shapes, others, goal), others)}

    def _scaled(self, shapes: Shapes, sizes: dict[str, int], goal: int) -> dict[str, float]:
        """The law's densities, scaled to `goal` weights; they may exceed 1."""
        raw = {}
        for i, path in enumerate(shapes):
            left = len(shapes) - i
            raw[path] = (left**2 + left) / ((i + 1) ** 2 if self.vgg else 1)
        total = sum(int(size * raw[path]) for path, size in sizes.items())
        return {path: raw[path] * goal / total for path in sizes}

    def __repr__(self) -> str:
        return f"smart_ratio(linear={self.linear:g}{', vgg' if self.vgg else ''})"


def _handed_on(densities: dict[str, float], sizes: dict[str, int]) -> dict[str, float]:
    """Cuts densities at 1; the weights over go to the next layers, and from the last one back to the first."""
    extra = 0.0
    densities = dict(densities)
    for path in [*sizes, *sizes]:
        wanted = densities[path] * sizes[path] + extra
        densities[path] = min(1.0, wanted / sizes[path])
        extra = wanted - densities[path] * sizes[path]
    return densities
