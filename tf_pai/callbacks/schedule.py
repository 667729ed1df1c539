"""When masks are updated, and what fraction of the weights moves: pure functions of the step."""

from __future__ import annotations

import dataclasses
import math

from tf_pai.registry import Registry


@dataclasses.dataclass(frozen=True)
class Periodic:
    """Updates after the steps begin, begin + every, begin + 2 every ... up to and including `end`.

    Step t is the t-th update of the weights, so the first that can be due is 1.

    Attributes:
        every: steps between two updates, at least 1.
        begin: first step; 0 starts with `every`.
        end: last step at which an update can fall.
        decays_from_begin: whether a decay starts at `begin`; the code of RigL's authors divides the bare step instead.

    Example:
        >>> [step for step in range(60) if Periodic(every=7, begin=5, end=50).is_due(step)]
        [5, 12, 19, 26, 33, 40, 47]
    """

    every: int
    begin: int = 0
    end: int = 0
    decays_from_begin: bool = True

    def is_due(self, step: int) -> bool:
        """Tells whether masks are updated after this step."""
        return max(self.begin, 1) <= step <= self.end and (step - self.begin) % self.every == 0

    def progress(self, step: int) -> float:
        """Returns how much of the schedule has passed, from 0 to 1."""
        start = self.begin if self.decays_from_begin else 0
        return min(max((step - start) / max(self.end - self.begin, 1), 0.0), 1.0)


DECAYS: Registry = Registry("decay of the drop fraction")


@DECAYS.register("constant")
def constant(progress: float) -> float:
    """Returns 1."""
    return 1.0


@DECAYS.register("cosine")
def cosine(progress: float) -> float:
    """Returns (1 + cos(pi p)) / 2.

    Reference: Evci et al. 2020, "Rigging the lottery", section 3 (2).
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


@DECAYS.register("linear")
def linear(progress: float) -> float:
    """Returns 1 - p."""
    return 1 - progress


@DECAYS.register("cubic")
def cubic(progress: float) -> float:
    """Returns (1 - p)^3."""
    return (1 - progress) ** 3


def drop_fraction(initial: float, decay: str, progress: float, final: float = 0.0) -> float:
    """Returns the drop fraction at a point of the schedule: final + (initial - final) * decay(p).

    Args:
        initial: at p = 0.
        decay: "cosine", "constant", "linear" or "cubic".
        progress: p in [0, 1].
        final: what the decay ends at.

    Example:
        >>> drop_fraction(0.3, "cosine", 0.5)
        0.15
    """
    return round(final + (initial - final) * DECAYS.find(decay)(progress), 15)


def cubic_sparsity(initial: float, final: float, progress: float) -> float:
    """Returns the sparsity of gradual magnitude pruning: final + (initial - final) * (1 - p)^3.

    Reference: Zhu and Gupta 2017, "To prune, or not to prune", eq. 1.

    Example:
        >>> cubic_sparsity(0.5, 0.9, 0.0), cubic_sparsity(0.5, 0.9, 1.0)
        (0.5, 0.9)
    """
    return final + (initial - final) * (1 - progress) ** 3
