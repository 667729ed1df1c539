"""What every ticket method is given, and iterative magnitude pruning, which most of them are made of."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tf_pai.distributions import Patterns
from tf_pai.layers import participating
from tf_pai.masks import Masks
from tf_pai.reporting.progress import progress
from tf_pai.static.filters import with_companions
from tf_pai.static.plan import Plan
from tf_pai.steps import to_steps
from tf_pai.structures import Filter
from tf_pai.tickets.bench import Bench, Trained, Values
from tf_pai.tickets.ticket import Ticket


@dataclasses.dataclass(frozen=True)
class Search:
    """The arguments of `find_ticket`, checked.

    Attributes:
        method: the method's name.
        bench: trains the network.
        plan: the choice of structure, distribution and sparsity.
        rounds: number of rounds, or None: as many as `rate` takes.
        rate: fraction of the weights left that one round removes.
        rewind_to: step or epoch whose weights the ticket starts from; None: the method's own.
        options: the method's own, all of them.
        folder: where the method keeps more of its state; None: nowhere.
        seed: of everything random.
        verbose: 0 for no progress bar.
    """

    method: str
    bench: Bench
    plan: Plan
    rounds: int | None
    rate: float
    rewind_to: Any
    options: dict[str, Any]
    folder: pathlib.Path | None = None
    seed: int = 0
    verbose: Any = "auto"

    def densities(self) -> list[float]:
        """Returns the density after each round.

        With `rounds` it falls exponentially, d^(k/rounds). Else round k takes `rate` of what is left (of each layer,
        as the distribution says), and the last one goes to the asked density; it is left out where it would take less
        than a tenth of a round. A pattern N:M is reached in one.
        """
        target = self.plan.density
        if target >= 1:
            return []
        if self.plan.structure.density is not None:
            return [target]
        if self.rounds is not None:
            return [target ** (k / self.rounds) for k in range(1, self.rounds)] + [target]
        found: list[float] = []
        while (density := self._after(len(found) + 1)) > target / (1 - self.rate / 10):
            found.append(density)
        return [*found, target]

    def _after(self, rounds: int) -> float:
        density_after = getattr(self.plan.distribution, "density_after", None)
        if density_after is None:
            return (1 - self.rate) ** rounds
        return density_after({path: weight.shape for path, weight in self.plan.weights.items()}, rounds)

    def next_masks(self, masks: Masks, trained: Values, density: float) -> Masks:
        """Returns the masks of `density` that keep the largest trained weights among those kept so far."""
        sizes = self.sizes(trained)
        scores = {path: np.where(masks[path], size, -np.inf) for path, size in sizes.items()}
        chosen = self._plan_of_round(density).choose(scores, density)
        return {**masks, **self._companions({path: mask & masks[path] for path, mask in chosen.items()})}

    def chosen(self, scores: Values, density: float) -> Masks:
        """Returns masks of `density` with the highest scores, of all weights."""
        return {**self.bench.dense(), **self._companions(self._plan_of_round(density).choose(scores, density))}

    def sizes(self, trained: Values) -> Values:
        """Returns {path: |w|} of the weights that take part.

        Raises:
            ValueError: the training has diverged.
        """
        for path in self.plan.weights:
            if not np.isfinite(trained[path]).all():
                raise ValueError(
                    f"Weights are chosen by their trained size. Received: NaN or infinite values in {path!r} after "
                    "training. Lower the learning rate, or look for such values in the data."
                )
        return {path: np.abs(trained[path]) for path in self.plan.weights}

    def _plan_of_round(self, density: float) -> Plan:
        """The plan; before the last round, layers with a sparsity of their own are on the way to it as the whole is."""
        own, target = self.plan.distribution, self.plan.density
        if not isinstance(own, Patterns) or density == target or target >= 1:
            return self.plan
        share = math.log(density) / math.log(target)
        sparsities = {pattern: 1 - (1 - sparsity) ** share for pattern, sparsity in own.sparsities.items()}
        return dataclasses.replace(self.plan, distribution=Patterns(sparsities, own.rest))

    def _companions(self, masks: Masks) -> Masks:
        """The masks, with those of biases and BatchNorms that go with pruned filters."""
        if not isinstance(self.plan.structure, Filter):
            return masks
        return with_companions(self.bench.model, participating(self.bench.model), masks)

    def rewind_step(self, default: str = "0it") -> int:
        """Returns the step that `rewind_to`, or the method's own `default`, stands for."""
        asked = self.rewind_to if self.rewind_to is not None else default
        step = to_steps(asked, self.bench.steps, "rewind_to")
        last = None if self.bench.steps is None else self.bench.steps * self.bench.routine.epochs
        if last is not None and step >= last:
            raise ValueError(
                f"A ticket is rewound to a step before the end of training. Received: rewind_to={asked!r}, "
                f"step {step} of {last}. Choose an earlier one."
            )
        return step

    def rewound(self, step: int) -> Values:
        """Returns the weights of the dense network at a step of its training."""
        initial = self.bench.values()
        if step == 0:
            return initial
        return self.bench.train(initial, self.bench.dense(), "to the rewinding point", until=step).values

    def iterate(
        self,
        start: Values,
        *,
        step: int = 0,
        keep_training: bool = False,
        data: Callable[[int, int], Any] | None = None,
    ) -> Ticket:
        """Iterative magnitude pruning: train, remove the smallest weights of those left, reset the others; repeat.

        Args:
            start: {path: value} to which the weights are reset.
            step: the step at which these are.
            keep_training: whether the weights are not reset, and only the learning rate is (Renda et al. 2020).
            data: called with level and number of levels, gives the data that the level is trained on.
        """
        masks, history, scores, values = self.bench.dense(), [], self.no_scores(), start
        densities = self.densities()
        for level, density in enumerate(self._shown(densities)):
            name = f"level {level}/{len(densities)}"
            own = None if data is None else data(level, len(densities))
            trained = self.bench.train(values, masks, name, step=step, data=own)
            history.append(entry(level, masks, trained))
            self.note(scores, masks, trained, level)
            masks = self.next_masks(masks, trained.values, density)
            values = trained.values if keep_training else start
        return self.ticket(values, masks, step, history, scores)

    def no_scores(self) -> Values:
        """Returns {path: zeros}, for `note` to fill."""
        return {path: np.zeros(weight.shape, "float32") for path, weight in self.plan.weights.items()}

    def note(self, scores: Values, masks: Masks, trained: Trained, level: int) -> None:
        """Notes how long and how strongly weights were kept: the last level they lived in, and |w| as a part of one."""
        for path, score in scores.items():
            score[...] = np.where(masks[path], level + _up_to_one(trained.values[path]), score)

    def _shown(self, densities: list[float]) -> Iterator[float]:
        return progress(densities, "levels", self.verbose)

    def ticket(
        self, start: Values, masks: Masks, step: int, history: list[dict[str, Any]], scores: Values | None = None
    ) -> Ticket:
        """Returns the ticket of these masks over these weights."""
        self.bench.reset(start, masks, step, self.seed)
        emptied = [path for path, mask in masks.items() if not mask.any()]
        if emptied:
            warnings.warn(
                f"The ticket has nothing left in {', '.join(emptied)}: no signal passes. Ask for a lower sparsity, or "
                "another distribution.",
                stacklevel=4,
            )
        return Ticket(self.bench.model, start, history, step, scores, self.method)


def entry(level: int, masks: Masks, trained: Trained) -> dict[str, Any]:
    """Returns what a history holds of one level."""
    kernels = [mask for mask in masks.values() if mask.ndim >= 2]
    density = sum(int(mask.sum()) for mask in kernels) / sum(mask.size for mask in kernels)
    return {"level": level, "density": density, **trained.metrics}


def _up_to_one(values: np.ndarray) -> np.ndarray:
    """Magnitudes as numbers from 0 up to 1, in the same order."""
    magnitudes = np.abs(values.astype("float64"))
    return magnitudes / (1 + magnitudes)
