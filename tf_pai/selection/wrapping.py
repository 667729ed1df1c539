"""A model whose layers are frozen and have scores: as select_subnet is asked for it, or as a ticket describes it."""

from __future__ import annotations

import math
from typing import Any

import keras

from tf_pai import distributions
from tf_pai.layers import PrunableWeight, prunable_layers, weights_of
from tf_pai.layers.wrapping import replace_layers
from tf_pai.selection.layer import ScoredLayer
from tf_pai.selection.signs import is_rectified, with_sign

Counts = dict[str, int]


def allot(weights: dict[str, PrunableWeight], distribution: Any, density: float) -> tuple[Counts, Counts]:
    """Returns {path: how many weights stay}, and {path: how many stay of all that it competes with, or 0}.

    Where weights compete, their parts of the common number are in proportion to their sizes.

    Args:
        weights: {path: weight} that take part, in model order.
        distribution: as `tf_pai.distributions.get` takes it.
        density: fraction to keep.
    """
    shapes = {path: w.shape for path, w in weights.items()}
    keep: Counts = {}
    shared: Counts = {}
    for budget in distributions.get(distribution).budgets(shapes, density):
        total = sum(math.prod(shapes[path]) for path in budget.paths)
        parts = {path: budget.keep * math.prod(shapes[path]) // total for path in budget.paths}
        parts[budget.paths[-1]] += budget.keep - sum(parts.values())
        keep |= parts
        shared |= dict.fromkeys(budget.paths, budget.keep if len(budget.paths) > 1 else 0)
    return {path: keep[path] for path in weights}, {path: shared[path] for path in weights}


def wrap_to_select(model: keras.Model, keep: Counts, shared: Counts, options: dict[str, Any]) -> keras.Model:
    """Puts a ScoredLayer around every layer that has weights: those without scores are frozen.

    Args:
        model: a model without masks.
        keep: {path: how many weights stay}.
        shared: {path: how many stay of all that it competes with, or 0}.
        options: of each `ScoredLayer`: rule, structure, origin.
    """
    variables = weights_of(model)
    wanted = {id(variables[path]): (count, shared[path]) for path, count in keep.items()}
    numbers = iter(range(len(model.weights) + 1))

    def wrapped(layer: Any, copy: Any) -> Any:
        signed = options["rule"].binary_activations and is_rectified(layer)
        if not isinstance(layer, keras.Layer) or not (weights_of(layer) or signed):
            return copy
        copy = with_sign(copy) if signed else copy
        keeps = {i: wanted[id(v)] for i, v in enumerate(weights_of(layer).values()) if id(v) in wanted}
        own_seed = (options["origin"]["seed"] + 7919 * next(numbers)) % 2**31
        counts, totals = zip(*keeps.values(), strict=True) if keeps else ((), ())
        return ScoredLayer(copy, tuple(keeps), keep=counts, shared=totals, seed=own_seed, **options)

    selected = replace_layers(model, wrapped)
    for layer in prunable_layers(selected).values():
        layer.freeze()  # copying the weights has copied that they were trainable
        layer.meet(selected)
        layer.project()
    return selected
