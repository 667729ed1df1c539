"""What every check is given: the ticket, a bench to train on, and what was trained before."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tf_pai.masks import Masks
from tf_pai.tickets.bench import Bench, Trained, Values
from tf_pai.tickets.changing import reinitialized
from tf_pai.tickets.ticket import Ticket


@dataclasses.dataclass(frozen=True)
class Context:
    """One ticket under check.

    Attributes:
        ticket: the ticket.
        masks: the ticket's: a subclassed model that is trained under others no longer has them.
        bench: trains its network.
        seeds: number of repetitions.
        metric: what is compared.
        margin: see `tf_pai.sanity.verdict.compared`.
        options: options of single checks.
    """

    ticket: Ticket
    masks: Masks
    bench: Bench
    seeds: int
    metric: str
    margin: float
    options: dict[str, Any]

    @property
    def density(self) -> float:
        """Fraction of the weights with a mask that the ticket keeps."""
        kernels = [mask for mask in self.masks.values() if mask.ndim >= 2]
        return sum(int(mask.sum()) for mask in kernels) / sum(mask.size for mask in kernels)

    @functools.cached_property
    def found(self) -> list[float]:
        """The accuracy of the ticket as found, once for each order of the data."""
        ticket = self.ticket
        return [self.accuracy(ticket.initial_weights, self.masks, "as found", r) for r in range(self.seeds)]

    def accuracy(self, values: Values, masks: Masks, name: str, replicate: int) -> float:
        """Returns the accuracy of a network that starts from `values` under `masks`."""
        return self.train(values, masks, name, replicate).metrics[self.metric]

    def train(self, values: Values, masks: Masks, name: str, replicate: int, **options: Any) -> Trained:
        """Trains a network from the ticket's own step on; `Bench.train` takes `options`."""
        options = {"step": self.ticket.step, **options}
        return self.bench.train(values, masks, f"{name} {replicate + 1}/{self.seeds}", replicate=replicate, **options)

    def reinitialized(self, seed: int) -> Values:
        """Returns the ticket's weights with new random values in all weights that have a mask."""
        return reinitialized(self.bench.model, self.ticket.initial_weights, self.masks, seed)
