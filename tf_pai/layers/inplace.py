"""Masks put on the layers of a model that stays the object it is: for training that starts dense and is under way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras.src.ops.function import map_graph

from tf_pai.layers.paths import is_graph, weights_of
from tf_pai.layers.prunable import PrunableLayer
from tf_pai.layers.wrapping import wrap_model


def wrap_in_place(model: keras.Model, paths: Iterable[str]) -> None:
    """Puts a mask of ones on each of the weights at `paths`; variables, optimizer and `model` stay the same objects.

    Args:
        model: a built model.
        paths: paths of weights, as in `weights_of(model)`.
    """
    if not is_graph(model):
        wrap_model(model, paths)
        return
    variables = weights_of(model)
    _wrap_graph(model, {id(variables[path]) for path in paths}, {})
    model.train_function = model.test_function = model.predict_function = None


def _wrap_graph(model: Any, wanted: set[int], wrapped: dict[int, Any]) -> None:
    """Puts wrappers in place of the layers of a graph; nested graphs first, each layer once."""
    functional = getattr(model, "_functional", None) or model
    for layer in functional._operations:
        if is_graph(layer):
            _wrap_graph(layer, wanted, wrapped)
        elif id(layer) not in wrapped and _places(layer, wanted) and not isinstance(layer, PrunableLayer):
            wrapped[id(layer)] = PrunableLayer(layer, pruned=_places(layer, wanted))
    if not any(id(layer) in wrapped for layer in functional._operations):
        return
    if isinstance(model, keras.Sequential):
        model._layers = [wrapped.get(id(layer), layer) for layer in model._layers]
        model._maybe_rebuild()
    else:
        _reconnect(model, wrapped)


def _places(layer: Any, wanted: set[int]) -> tuple[int, ...]:
    if not isinstance(layer, keras.Layer):
        return ()
    return tuple(i for i, variable in enumerate(weights_of(layer).values()) if id(variable) in wanted)


def _reconnect(model: Any, wrapped: dict[int, Any]) -> None:
    """Calls the graph again on its own symbolic inputs with wrappers in it, and makes that the model's graph."""
    outputs = model._run_through_graph(model._inputs, operation_fn=lambda layer: wrapped.get(id(layer), layer))
    flat = keras.tree.flatten(outputs)
    nodes, nodes_by_depth, operations, operations_by_depth = map_graph(model._inputs, flat)
    vars(model).update(  # past __setattr__: none of these holds state, and tracking would wrap them
        _outputs_struct=outputs,
        _outputs=flat,
        _nodes=nodes,
        _nodes_by_depth=nodes_by_depth,
        _operations=operations,
        _operations_by_depth=operations_by_depth,
    )
    was_locked = model._tracker.locked
    model._tracker.unlock()
    for old in [layer for layer in model._layers if id(layer) in wrapped]:
        model._tracker.replace_tracked_value("layers", old, wrapped[id(old)])
    if was_locked:
        model._tracker.lock()
