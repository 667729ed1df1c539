"""The distributions: global, uniform, Erdős-Rényi with and without kernel, patterns of paths."""

from __future__ import annotations

import math

from tf_pai.distributions.base import Budget, Distribution, Layerwise, Shapes
from tf_pai.layers.choosing import matches
from tf_pai.registry import nearest


class Global(Distribution):
    """All weights compete for one budget: keep = round(density * N)."""

    def budgets(self, shapes: Shapes, density: float) -> list[Budget]:
        """Returns a single budget."""
        return [Budget(tuple(shapes), round(density * sum(math.prod(shape) for shape in shapes.values())))]

    def __repr__(self) -> str:
        return "global"


class Uniform(Distribution):
    """Each layer keeps the same fraction: keep = round(density * n), at least 1."""

    def budgets(self, shapes: Shapes, density: float) -> list[Budget]:
        """Returns one budget per path."""
        return [Budget((path,), max(1, round(density * math.prod(shape)))) for path, shape in shapes.items()]

    def __repr__(self) -> str:
        return "uniform"


class ERK(Layerwise):
    """Erdős-Rényi-Kernel: density of a layer = eps * (sum of its dimensions) / (product of them).

    eps is such that the whole has the asked density. Where a layer's density would exceed 1, the layers with the
    highest raw density become dense, and eps is found anew for the others.

    Args:
        kernel: whether a convolution's kernel size takes part; without it, only its last two axes do (ER).
        power: exponent of sum / product; between 0 (uniform) and 1, layers differ less.

    Reference: Evci et al. 2020, "Rigging the lottery", section 3 (1); ER: Mocanu et al. 2018, eq. 3.
    """

    def __init__(self, kernel: bool = True, power: float = 1.0):
        self.kernel, self.power = kernel, power

    def _raw(self, shape: tuple[int, ...]) -> float:
        dimensions = shape if self.kernel else shape[-2:]
        return (sum(dimensions) / math.prod(dimensions)) ** self.power

    def densities(self, shapes: Shapes, density: float) -> dict[str, float]:
        """Returns {path: density}."""
        sizes = {path: math.prod(shape) for path, shape in shapes.items()}
        zeros = {path: math.floor((1 - density) * size) for path, size in sizes.items()}  # rounded as the authors do
        raw = {path: self._raw(shape) for path, shape in shapes.items()}
        dense: set[str] = set()
        while len(dense) < len(shapes):
            sparse = [path for path in shapes if path not in dense]
            budget = sum(sizes[path] for path in sparse) - sum(zeros.values())
            eps = budget / sum(raw[path] * sizes[path] for path in sparse)
            highest = max(raw[path] for path in sparse)
            if eps * highest <= 1:
                return {path: 1.0 if path in dense else eps * raw[path] for path in shapes}
            dense |= {path for path in sparse if raw[path] == highest}
        return dict.fromkeys(shapes, 1.0)

    def __repr__(self) -> str:
        name = "erk" if self.kernel else "er"
        return name if self.power == 1 else f"{name} power={self.power:g}"


class Patterns(Distribution):
    """Layers whose path matches a pattern get a sparsity of their own; the others share the asked sparsity.

    As in RigL's custom sparsity map, matched layers are left out of the budget of the others.

    Args:
        sparsities: {path pattern (fnmatch): sparsity in [0, 1)}; the first pattern that matches counts.
        rest: distribution of the layers that no pattern matches.
    """

    def __init__(self, sparsities: dict[str, float], rest: Distribution | None = None):
        for pattern, sparsity in sparsities.items():
            if not 0 <= sparsity < 1:
                raise ValueError(f"A sparsity lies in [0, 1). Received: {sparsity!r} for {pattern!r}.")
        self.sparsities, self.rest = dict(sparsities), rest or Global()

    def budgets(self, shapes: Shapes, density: float) -> list[Budget]:
        """Returns one budget per matched path, and those of the rest."""
        own = {path: pattern for path in shapes if (pattern := self._pattern_of(path)) is not None}
        for pattern in self.sparsities:
            if pattern not in own.values():
                raise ValueError(
                    f"A pattern of a distribution matches a weight. Received: {pattern!r}, which matches none."
                    f"{nearest(pattern, list(shapes))} Weights: {', '.join(shapes)}."
                )
        others = {path: shape for path, shape in shapes.items() if path not in own}
        budgets = self.rest.budgets(others, density) if others else []
        for path, pattern in own.items():
            budgets.append(Budget((path,), max(1, round((1 - self.sparsities[pattern]) * math.prod(shapes[path])))))
        return budgets

    def _pattern_of(self, path: str) -> str | None:
        return next((pattern for pattern in self.sparsities if matches(path, pattern)), None)

    def __repr__(self) -> str:
        return f"patterns {self.sparsities}"
