"""How sparsity grows until it is the asked one (survey 2.2, topic 4)."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any


class Schedule(abc.ABC):
    """A number of rounds; in each, weights are scored on the network as pruned so far, and pruned further."""

    @abc.abstractmethod
    def densities(self, density: float, total: int) -> list[float]:
        """Returns the density after each round; the last one is that asked for.

        Args:
            density: the density asked for, in (0, 1].
            total: number of weights that take part.
        """


class OneShot(Schedule):
    """One round."""

    def densities(self, density: float, total: int) -> list[float]:
        """Returns the asked density alone."""
        return [density]

    def __repr__(self) -> str:
        return "one_shot"


class Iterative(Schedule):
    """T rounds: density after round t is d^(t/T) (exponential) or 1 - (1 - d) t/T (linear).

    Args:
        rounds: T.
        shape: "exponential" or "linear".
        counts: in place of both, the number of weights kept after each round, falling to the number asked for.

    Raises:
        ValueError: rounds below 1, another shape, counts that rise.

    Reference: Tanaka et al. 2020, "Pruning neural networks without any data", algorithm 1.
    """

    def __init__(self, rounds: int | None = None, shape: str = "exponential", counts: Sequence[int] | None = None):
        if counts is None and (rounds is None or rounds < 1):
            raise ValueError(f"An iterative schedule has at least one round. Received: rounds={rounds!r}.")
        if shape not in ("exponential", "linear"):
            raise ValueError(f'A schedule\'s shape is "exponential" or "linear". Received: shape={shape!r}.')
        if counts is not None and (not len(counts) or list(counts) != sorted(counts, reverse=True) or counts[-1] < 0):
            raise ValueError(f"counts fall from round to round. Received: counts={list(counts)!r}.")
        self.rounds = len(counts) if counts is not None else int(rounds or 0)
        self.shape, self.counts = shape, None if counts is None else list(counts)

    def densities(self, density: float, total: int) -> list[float]:
        """Returns the density after each round."""
        if self.counts is not None:
            return self._from_counts(self.counts, density, total)
        shares = [(t + 1) / self.rounds for t in range(self.rounds)]
        if self.shape == "linear":
            return [1 - (1 - density) * share for share in shares[:-1]] + [density]
        return [density**share for share in shares[:-1]] + [density]

    def _from_counts(self, counts: list[int], density: float, total: int) -> list[float]:
        if counts[0] > total or counts[-1] != round(density * total):
            raise ValueError(
                f"counts fall from at most {total} to the {round(density * total)} weights of the asked sparsity. "
                f"Received: counts={counts!r}."
            )
        return [count / total for count in counts]

    def __repr__(self) -> str:
        return f"iterative:{self.rounds}" if self.counts is None else f"iterative counts={self.counts}"


class Progressive(Schedule):
    """Sparsity as a function of the step, scaled so that it ends at the asked one.

    Args:
        sparsity_at: called with a step, gives a sparsity (a Keras learning-rate schedule, any function), or
            (whether to prune, sparsity) as the pruning schedules of tensorflow-model-optimization do.
        steps: number of rounds, or the steps of the rounds; default: those of tfmot's own begin, end and frequency.

    Raises:
        ValueError: the schedule does not say its steps and `steps` is missing, or it ends at sparsity 0.

    Example:
        >>> Progressive(lambda step: step / 4, steps=4).densities(0.2, total=100)
        [0.8, 0.6, 0.4, 0.2]

    Reference: Zhu and Gupta 2017, "To prune, or not to prune", section 3 (tfmot's `PolynomialDecay` with power 3).
    """

    def __init__(self, sparsity_at: Callable[[int], Any], steps: int | Sequence[int] | None = None):
        if steps is None:
            steps = _tfmot_steps(sparsity_at)
        self.sparsity_at = sparsity_at
        self.steps = list(range(1, steps + 1)) if isinstance(steps, int) else list(steps)
        if not self.steps:
            raise ValueError("A progressive schedule has at least one step. Received: none.")

    def sparsity(self, step: int) -> float:
        """Returns the schedule's own sparsity at a step."""
        value = self.sparsity_at(step)
        return float(value[1] if isinstance(value, (tuple, list)) else value)

    def densities(self, density: float, total: int) -> list[float]:
        """Returns the density after each round, the last being `density`."""
        sparsities = [self.sparsity(step) for step in self.steps]
        if sparsities[-1] <= 0:
            raise ValueError(f"A progressive schedule ends at a sparsity above 0. Received: {sparsities[-1]}.")
        scale = (1 - density) / sparsities[-1]
        return [round(1 - scale * s, 12) for s in sparsities[:-1]] + [density]

    def __repr__(self) -> str:
        return f"progressive over {len(self.steps)} steps"


def _tfmot_steps(schedule: Any) -> list[int]:
    begin, end = getattr(schedule, "begin_step", None), getattr(schedule, "end_step", None)
    if begin is None or end is None:
        raise ValueError(
            "A schedule that does not know its last step needs to be told. Received: "
            f"{type(schedule).__name__}. Use tf_pai.schedules.Progressive(schedule, steps=...)."
        )
    frequency = getattr(schedule, "frequency", 1)
    return list(range(begin, end + 1, frequency)) if end >= 0 else [begin]
