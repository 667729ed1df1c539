"""Moving a ticket from one task to another: heads, and what goes with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tf_pai.layers import participating, prunable_weights, unwrapped, weights_of
from tf_pai.layers.graph import output_layers
from tf_pai.layers.paths import is_graph
from tf_pai.layers.rebuilding import compile_like
from tf_pai.masks import Masks
from tf_pai.static.checks import check_model
from tf_pai.tickets.bench import Bench
from tf_pai.tickets.search import Search
from tf_pai.tickets.start import remembered_start
from tf_pai.tickets.ticket import Ticket


def head_of(model: keras.Model) -> list[str]:
    """Returns the paths of the weights of the output layers, which belong to the task and do not move."""
    owned = {id(variable) for layer in output_layers(model) for variable in layer.weights}
    return [path for path, variable in weights_of(model).items() if id(variable) in owned]


def prunable_head(model: keras.Model) -> list[str]:
    """Returns the paths of the weights of the output layers that could be pruned."""
    return [path for path in head_of(model) if path in prunable_weights(model)]


def with_head(model: keras.Model, classes: int, seed: int) -> keras.Model:
    """Returns the network with a new last layer of `classes` logits, compiled as it was.

    Args:
        model: a Sequential or functional model whose one output layer is a Dense one.
        classes: number of logits.
        seed: of its initial weights.

    Raises:
        ValueError: another kind of model.
    """
    last = output_layers(model)
    heads = [layer for layer in model.layers if unwrapped(layer) in last]
    if len(last) != 1 or not isinstance(last[0], keras.layers.Dense) or not heads:
        raise ValueError(
            "A head is replaced where it is one Dense layer of the model itself. Received: output layers "
            f"{[layer.name for layer in last]}. Pass source_model=, compiled, in the options."
        )
    config = {**last[0].get_config(), "units": classes}
    config["kernel_initializer"] = keras.initializers.GlorotUniform(seed=seed)
    new = keras.Model(model.inputs, keras.layers.Dense.from_config(config)(heads[0].input), name=model.name)
    compile_like(model, new)
    return new


def check_source(model: Any) -> None:
    """Raises TypeError or ValueError where a source model is no Keras model that can be trained."""
    check_model(model)
    if not model.compiled:
        raise ValueError(
            f"A ticket is found by training. Received: source_model {model.name!r}, not compiled. Call its compile."
        )


def source_search(
    search: Search, model: keras.Model | None, data: Any, validation_data: Any, classes: int | None
) -> Search:
    """Returns the search on the source task: another head on the same body, or a model of its own.

    Args:
        search: the search on the target task.
        model: network of the source task, compiled; None: the target's, with another head where `classes` differ.
        data: training data of the source task.
        validation_data: what its levels are evaluated on, or None.
        classes: number of classes of the source task; None: as many as the target has.

    Raises:
        ValueError: a source model is needed, or is of another kind.
    """
    own, given = search.bench.model, model is not None
    if model is None and not is_graph(own):
        raise ValueError(
            "The network of the source task is a copy of a Sequential or functional model. Received: "
            f"{type(own).__name__}. Pass source_model=, compiled, with the same layers, in the options."
        )
    if model is None:
        model = own
        if classes is not None and own.output_shape[-1] != classes:
            model = with_head(own, classes, search.seed)
    check_source(model)
    routine = dataclasses.replace(search.bench.routine, data=data, validation_data=validation_data)
    bench = Bench(model, routine, list(search.plan.weights), search.bench.folder)
    remembered_start(bench, search.folder if given else None, "source.npz")
    weights = {path: weight for path, weight in participating(model).items() if path in search.plan.weights}
    if list(weights) != list(search.plan.weights):
        raise ValueError(
            "A ticket moves between networks with the same body. Received: a source model without "
            f"{sorted(set(search.plan.weights) - set(weights))}. Give its layers the same names and shapes."
        )
    return dataclasses.replace(search, bench=bench, plan=dataclasses.replace(search.plan, weights=weights))


def moved(found: Ticket, search: Search) -> Ticket:
    """Returns the ticket on the target task: masks and weights of the body, with the target's own head."""
    head = set(head_of(search.bench.model))
    own = search.bench.values()
    values = {path: v if path in head else found.initial_weights.get(path, v) for path, v in own.items()}
    masks: Masks = {path: mask for path, mask in found.masks.items() if path not in head}
    return search.ticket(values, masks, 0, found.history, found.scores)
