"""What an optimizer holds for a weight (moments, averages, accumulators), for any optimizer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_pai.layers.optimizers import copy_optimizer, optimizers_of


@dataclasses.dataclass(frozen=True)
class Slot:
    """A variable of an optimizer, of a weight's shape.

    Attributes:
        kind: "momentum", "velocity", ...; the optimizer's own word.
        variable: the variable.
        initial: the value that it has in a new optimizer.
        optimizer: whose it is, a class.
    """

    kind: str
    variable: Any
    initial: float
    optimizer: type = keras.optimizers.Optimizer

    @property
    def is_average(self) -> bool:
        """Whether it is the weight's moving average."""
        return self.kind in ("average", "_model_variables_moving_average")


def counter_of(optimizer: Any) -> Any:
    """Returns the optimizer that counts the batches seen: behind loss scaling, which does not count skipped ones."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def slots_of(optimizer: Any, weight: keras.Variable, initial: dict[int, dict[str, float]] | None = None) -> list[Slot]:
    """Returns the slots of the weight's shape that an optimizer holds for it, whatever the optimizer calls them.

    They are found in lists that run parallel to the optimizer's weights, and by the name that Keras gives a variable
    made for another (`add_variable_from_reference`). Factored slots, of another shape, belong to no single weight.

    Args:
        optimizer: any built Keras optimizer, loss scaling and several optimizers included; or None.
        weight: a variable of the model.
        initial: what is found out of initial values, for calls with other weights; {} at first.
    """
    found: dict[int, Slot] = {}
    initial = {} if initial is None else initial
    for leaf in optimizers_of(optimizer):
        for kind, variable in _candidates(leaf, weight):
            if id(variable) not in found and tuple(variable.shape) == tuple(weight.shape):
                if id(leaf) not in initial:
                    initial[id(leaf)] = _initial_values(leaf)
                found[id(variable)] = Slot(kind, variable, initial[id(leaf)].get(kind, 0.0), type(leaf))
    return list(found.values())


def _candidates(optimizer: Any, weight: Any) -> Iterator[tuple[str, Any]]:
    """Yields (kind, variable) of an optimizer's variables that belong to the weight, some of them twice."""
    known = optimizer._trainable_variables
    place = next((i for i, other in enumerate(known) if other is weight), None)
    if place is None:
        return
    twins = [i for i, other in enumerate(known) if other.path == weight.path and other.shape == weight.shape]
    named: dict[str, list[Any]] = {}
    prefix = weight.path.replace("/", "_") + "_"
    for variable in optimizer.variables:
        if variable.name.startswith(prefix) and tuple(variable.shape) == tuple(weight.shape):
            named.setdefault(variable.name.removeprefix(prefix), []).append(variable)
    for kind, variables in named.items():
        if len(variables) == len(twins):  # one for each of the weights that share this path
            yield kind, variables[twins.index(place)]
    for name, values in vars(optimizer).items():
        runs_parallel = isinstance(values, (list, tuple)) and values is not known and len(values) == len(known)
        if runs_parallel and isinstance(values[place], keras.Variable):
            yield name, values[place]


def _initial_values(optimizer: Any) -> dict[str, float]:
    """Returns {kind: initial value} of the slots of a new optimizer of the same settings, on one weight of zeros."""
    weight = keras.Variable(np.zeros((1, 1), "float32"), name="weight")
    try:
        twin = copy_optimizer(optimizer)
        twin.build([weight])
    except (TypeError, ValueError, NotImplementedError):  # an optimizer that cannot be made again: slots start at zero
        return {}
    return {kind: float(np.ravel(slot.numpy())[0]) for kind, slot in _candidates(twin, weight)}


def momentum_of(slots: list[Slot]) -> tuple[Any, Any]:
    """Returns the (first moment, second moment) variables among slots, None where there is none.

    What RMSprop calls momentum is divided by the root of its second moment already, and has none here; what
    ScheduleFreeAdamW calls so is a weight.
    """
    slots = [slot for slot in slots if slot.optimizer.__name__ != "ScheduleFreeAdamW"]

    def first(pattern: str) -> Any:
        return next((slot for slot in slots if re.fullmatch(pattern, slot.kind)), None)

    momentum, velocity = first("_?momentums?"), first("_?velocit(y|ies)")
    is_divided = momentum is not None and issubclass(momentum.optimizer, keras.optimizers.RMSprop)
    second = None if velocity is None or is_divided else velocity.variable
    return None if momentum is None else momentum.variable, second
