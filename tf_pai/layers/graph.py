"""Which layer feeds which, in Sequential and functional models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from tf_pai.layers.paths import is_graph, prunable_weights, unwrapped, walk


def _edges(model: keras.Model) -> Iterator[tuple[Any, Any]]:
    """Yields (operation, operation that takes its output) of one graph, not of those nested in it."""
    functional = getattr(model, "_functional", None) or model
    for nodes in functional._nodes_by_depth.values():
        for node in nodes:
            for tensor in node.arguments.keras_tensors if not node.is_input else ():
                yield tensor._keras_history.operation, node.operation


def consumers(model: keras.Model) -> dict[int, list[Any]]:
    """Returns {id of a layer: layers and operations that take its output}, nested graphs included."""
    found: dict[int, list[Any]] = {}
    for _, layer in walk(model):
        if is_graph(layer):
            for source, target in _edges(layer):
                found.setdefault(id(unwrapped(source)), []).append(target)
    return found


def batch_norms_after(model: keras.Model, layer: keras.Layer) -> list[keras.layers.BatchNormalization]:
    """Returns the BatchNormalization layers that take the output of `layer` as it is."""
    after = [unwrapped(target) for target in consumers(model).get(id(layer), [])]
    return [target for target in after if isinstance(target, keras.layers.BatchNormalization)]


def output_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers with prunable weights between which and an output of the model there is no other such layer.

    Of a subclassed model, whose graph is not known, the last layer with prunable weights.
    """
    if not is_graph(model):
        return [list(prunable_weights(model).values())[-1].owner] if prunable_weights(model) else []
    found: list[keras.Layer] = []
    pending = [tensor._keras_history.operation for tensor in model.outputs]
    seen: set[int] = set()
    before: dict[int, list[Any]] = {}
    for source, target in _edges(model):
        before.setdefault(id(target), []).append(source)
    while pending:
        operation = pending.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if isinstance(operation, keras.Layer) and prunable_weights(operation):
            inner = unwrapped(operation)
            found += output_layers(inner) if is_graph(inner) else [w.owner for w in prunable_weights(inner).values()]
        else:
            pending += before.get(id(operation), [])
    return found
