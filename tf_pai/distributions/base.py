"""How many weights stay in each layer (survey 2.2, topic 2)."""

from __future__ import annotations

import abc
import dataclasses
import math

Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Budget:
    """A number of weights to keep among the weights of some paths together.

    Attributes:
        paths: weights that compete for this budget.
        keep: how many of their weights stay.
    """

    paths: tuple[str, ...]
    keep: int


class Distribution(abc.ABC):
    """Divides the weights that may stay over the layers."""

    @abc.abstractmethod
    def budgets(self, shapes: Shapes, density: float) -> list[Budget]:
        """Returns budgets that cover each path once.

        Args:
            shapes: {path: shape} of the weights that take part, in model order.
            density: fraction to keep of all of them, in (0, 1].
        """


class Layerwise(Distribution):
    """A distribution that gives each layer a density of its own."""

    @abc.abstractmethod
    def densities(self, shapes: Shapes, density: float) -> dict[str, float]:
        """Returns {path: density in [0, 1]}."""

    def budgets(self, shapes: Shapes, density: float) -> list[Budget]:
        """Returns one budget per path: whole numbers whose sum is round(density * all weights)."""
        sizes = {path: math.prod(shape) for path, shape in shapes.items()}
        exact = {path: d * sizes[path] for path, d in self.densities(shapes, density).items()}
        whole = _largest_remainders(exact, sizes, round(density * sum(sizes.values())))
        return [Budget((path,), keep) for path, keep in whole.items()]


def with_floor(budgets: list[Budget], shapes: Shapes, min_keep: int) -> list[Budget]:
    """Returns budgets that leave each weight array `min_keep` weights; the others give what that takes, by their room.

    Args:
        budgets: budgets whose sum is kept.
        shapes: {path: shape}.
        min_keep: number of weights that no array falls below.
    """
    floors = [sum(min(min_keep, math.prod(shapes[path])) for path in budget.paths) for budget in budgets]
    lack = sum(max(0, floor - budget.keep) for floor, budget in zip(floors, budgets, strict=True))
    left = sum(max(0, budget.keep - floor) for floor, budget in zip(floors, budgets, strict=True))
    lifted = []
    for floor, budget in zip(floors, budgets, strict=True):
        room = max(0, budget.keep - floor)
        gives = -(-lack * room // left) if left else 0
        lack, left = lack - gives, left - room
        lifted.append(Budget(budget.paths, max(floor, budget.keep) - gives))
    return lifted


def _largest_remainders(exact: dict[str, float], sizes: dict[str, int], total: int) -> dict[str, int]:
    """Rounds numbers down, then moves those furthest from their exact value by one until they add up to `total`.

    No layer is rounded down to nothing: the sum may miss a `total` that leaves no choice. Dense layers move last.
    """
    whole = {path: max(1, math.floor(x)) for path, x in exact.items()}
    missing = total - sum(whole.values())
    step = 1 if missing > 0 else -1
    for _ in range(abs(missing)):
        movable = [path for path in exact if 1 <= whole[path] + step <= sizes[path]]
        movable = [path for path in movable if exact[path] < sizes[path]] or movable
        if movable:
            whole[max(movable, key=lambda path: step * (exact[path] - whole[path]))] += step
    return whole
