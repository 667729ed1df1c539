"""Plain Keras model -> model whose prunable layers are PrunableLayers, and layers replaced in general."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from tf_pai.layers.copying import Copy
from tf_pai.layers.paths import has_config, is_graph, walk, weights_of
from tf_pai.layers.prunable import PrunableLayer
from tf_pai.layers.rebuilding import rebuild
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.sparse_attention import SparseMultiHeadAttention
from tf_pai.layers.subclassed import holds_masks, remember_wrapping, replace_children


def wrap_model(model: keras.Model, paths: Iterable[str]) -> keras.Model:
    """Returns the model with a mask of ones on each of the weights at `paths`.

    A Sequential or functional model is rebuilt and left untouched; in any other, layers are replaced in place.

    Args:
        model: a built model; layers that are wrapped already stay as they are.
        paths: paths of weights, as in `weights_of(model)`.
    """
    paths = list(paths)
    variables = weights_of(model)
    wanted = {id(variables[path]) for path in paths}

    def places(layer: keras.Layer) -> tuple[int, ...]:
        return tuple(i for i, variable in enumerate(weights_of(layer).values()) if id(variable) in wanted)

    def wrapped(layer: Any, copy: Any) -> Any:
        if not isinstance(layer, keras.Layer) or isinstance(layer, PrunableLayer) or not places(layer):
            return copy
        if copy is layer and is_graph(model):
            raise ValueError(
                f"A layer is wrapped in a copy of the model, made from its configuration. Received: {layer.name!r} of "
                f"class {type(layer).__name__}, which has none. Give the class a get_config."
                if not has_config(layer)
                else "A layer is wrapped in a copy of the model. Received: "
                f"{layer.name!r}, whose weights a layer without a get_config uses too. Give its class a get_config."
            )
        return PrunableLayer(copy, pruned=places(layer))

    model = replace_layers(model, wrapped)
    _add_masks(model, paths)
    return model


def _add_masks(model: keras.Model, paths: list[str]) -> None:
    """Gives masks to weights at `paths` that have none, though their layers are wrapped."""
    variables = weights_of(model)
    wanted = {id(variables[path]) for path in paths}
    layers = prunable_layers(model).values()
    wanted -= {id(variable) for layer in layers for variable, _ in layer.pairs.values()}
    for layer in layers if wanted else ():
        known = [id(variable) for variable in weights_of(layer.layer).values()]
        layer.add_masks([i for i, variable in enumerate(known) if variable in wanted])
        wanted -= set(known)


def replace_layers(model: keras.Model, change: Callable[[Any, Any], Any]) -> keras.Model:
    """Returns the model with other layers in place of its own, its optimizer where it was.

    A Sequential or functional model is rebuilt and left untouched; in any other, layers are replaced in place.

    Args:
        model: a built model.
        change: called with (layer or graph operation, what may be put in its place: a copy, or the layer itself where
            it is replaced in place), gives what is put there.
    """
    from tf_pai.layers.carrying import TrainingState  # built on this module

    state = TrainingState.of(model)
    if is_graph(model):
        new = rebuild(model, lambda layer, copy: change(layer, copy(layer)))
    else:
        new = _replace_in_place(model, change)
    state.carry_to(new)
    return new


def _replace_in_place(model: keras.Model, change: Callable[[Any, Any], Any]) -> keras.Model:
    _refuse_shared_graphs(model)
    replace_children(
        model, lambda layer: _changed_inside(layer, change) if holds_masks(layer) else change(layer, layer)
    )
    remember_wrapping(model)
    return model


def _refuse_shared_graphs(model: keras.Model) -> None:
    """Raises ValueError where copies of graphs would no longer share what these share."""
    for child in model._layers:
        if holds_masks(child) and shares_weights(child, model):
            raise ValueError(
                "Layers of a model inside a subclassed one are replaced in a copy of it. Received: "
                f"{child.name!r}, which shares weights with another layer of {model.name!r}. Build both of plain "
                "layers, which are masked from outside."
            )


def shares_weights(child: keras.Layer, model: keras.Model) -> bool:
    """Tells whether a layer that a subclassed model holds shares weights with another that it holds."""
    own = {id(variable) for variable in child.variables}
    others = (layer for layer in model._layers if layer is not child)
    return any(id(variable) in own for layer in others for variable in layer.variables)


def _changed_inside(graph: keras.Model, change: Callable[[Any, Any], Any]) -> keras.Model:
    """A copy of a graph with layers changed, or itself where none is."""
    is_changed = False

    def changed(layer: Any, copy: Copy) -> Any:
        nonlocal is_changed
        same = copy(layer)
        new = change(layer, same)
        is_changed |= new is not same
        return new

    new = rebuild(graph, changed)
    return new if is_changed else graph


def prunable_layers(model: keras.Layer) -> dict[str, PrunableLayer]:
    """Returns {path: layer} of the PrunableLayers of a model."""
    return {path: layer for path, layer in walk(model) if isinstance(layer, PrunableLayer)}


def sparse_layers(model: keras.Layer) -> dict[str, SparseKernel]:
    """Returns {path: layer} of the layers of a model that hold their kept weights only."""
    return {path: layer for path, layer in walk(model) if isinstance(layer, SparseKernel) and layer.built}


def refuse_inner_sparse_layers(model: keras.Model, ids: set[int] | None = None) -> None:
    """Raises ValueError where a sparse layer cannot be replaced: one that a layer of the model's, no graph, holds.

    Args:
        model: a model.
        ids: ids of the layers that are to be replaced; None for all sparse ones.
    """
    replaceable = {id(layer) for layer in _own_layers(model)}
    for layer in _own_layers(model):
        if isinstance(layer, SparseMultiHeadAttention):
            replaceable |= {id(part) for _, part in walk(layer)}
    inner = [
        path
        for path, layer in sparse_layers(model).items()
        if id(layer) not in replaceable and (ids is None or id(layer) in ids)
    ]
    if inner:
        raise ValueError(
            f"Layers of the model itself, and of models in it, are replaced. Received: sparse {inner[0]!r}, which "
            "another layer holds. Build that one of plain layers."
        )


def _own_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers if is_graph(model) else model._layers:
        yield layer
        if is_graph(layer):
            yield from _own_layers(layer)
