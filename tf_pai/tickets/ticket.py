"""Ticket: masks, and the weights that they are laid over."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.layers import prunable_weights, weights_of
from tf_pai.layers.initializing import initial_value
from tf_pai.masks import Masks, get_masks, sparsity

Values = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Ticket:
    """A sparse network that is ready to be trained, and how it was found.

    Attributes:
        model: the network: masks, initial weights, an optimizer at `step`.
        initial_weights: {path: value} of all weights it starts from, those at pruned places included.
        history: one entry per level: {"level", "density", and the metrics of the network trained at that level}.
        step: the step of the whole training at which it starts; 0 for the initialization.
        scores: {path: array}, higher = kept longer; None where they are not known.
        method: name of the method that found it; "" where it is not known.
        find: called with training data, finds a ticket in the same way on them; None where it cannot.
    """

    model: keras.Model
    initial_weights: Values
    history: list[dict[str, Any]]
    step: int = 0
    scores: Values | None = None
    method: str = ""
    find: Callable[[Any], Ticket] | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def masks(self) -> Masks:
        """{path: mask}, True = kept."""
        return get_masks(self.model)

    @property
    def density(self) -> float:
        """Fraction of the weights with a mask that is kept."""
        return 1 - sparsity(self.model)

    def masks_at(self, level: int) -> Masks:
        """Returns the masks that a level of the search was trained with.

        Args:
            level: a level of `history`, or the one after the last for the ticket's own masks.

        Raises:
            ValueError: it is not known when the weights were pruned, or there was no such level.
        """
        if level == len(self.history):
            return self.masks
        if self.scores is None or not isinstance(level, numbers.Integral) or not 0 <= level < len(self.history):
            raise ValueError(
                f"A ticket knows the masks of its own levels, 0 to {len(self.history)}. Received: level={level!r}."
            )
        return {**self.masks, **{path: score >= level for path, score in self.scores.items()}}


def ticket_of(model: keras.Model, dense: keras.Model | None = None, scores: Values | None = None) -> Ticket:
    """Returns a model that was pruned in any way as a ticket, for `check_ticket`.

    Args:
        model: a pruned model, not trained; it has to be compiled to be checked.
        dense: the model before pruning, whose weights at pruned places shuffled masks lay open; default: these are
            drawn anew.
        scores: what chose the masks, {path: array}, higher = keep.

    Raises:
        ValueError: the model has no masks, or `dense` is another network.

    Example:
        >>> import keras, tf_pai
        >>> dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> ticket_of(tf_pai.prune_at_init(dense, "synflow", 0.5), dense).density
        0.5
    """
    masks, values = get_masks(model), {path: np.array(variable) for path, variable in weights_of(model).items()}
    if not masks:
        raise ValueError("A ticket is a pruned model. Received: a model without masks. Prune it first.")
    if dense is not None:
        initial = {path: np.array(variable) for path, variable in weights_of(dense).items()}
        if {p: v.shape for p, v in initial.items()} != {p: v.shape for p, v in values.items()}:
            raise ValueError(
                "dense is the model before pruning. Received: one whose weights have other paths or shapes."
            )
        return Ticket(model, initial, [], scores=scores)
    for place, (path, weight) in enumerate(prunable_weights(model).items()):
        if path in masks:
            values[path] = np.where(masks[path], values[path], initial_value(weight, seed=place))
    return Ticket(model, values, [], scores=scores)
