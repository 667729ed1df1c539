"""Rebuilding a Sequential or functional model with some layers changed, weights and compiled state kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

from tf_pai.layers.choosing import uncopied
from tf_pai.layers.copying import Copy, copy_layer
from tf_pai.layers.optimizers import copy_optimizer, keep_exclusions
from tf_pai.layers.paths import is_graph, unwrapped, walk


def assign_all(layer: keras.Layer, values: Iterable[Any]) -> None:
    """Gives a layer the values of its variables, and what it computes from them when it is loaded."""
    for variable, value in zip(layer.variables, values, strict=True):
        variable.assign(value)
    for part in layer._flatten_layers():
        if isinstance(part, keras.layers.Normalization):
            part.finalize_state()


def rebuild(model: keras.Model, change: Callable[[Any, Copy], Any]) -> keras.Model:
    """Returns a copy of `model` in which every layer that is not itself a graph is `change(layer, copy)`.

    All weights, the compiled state and the optimizer's state are copied; `model` is untouched.

    Args:
        model: a built Sequential or functional model, nested ones included.
        change: gives the layer, of the same weights in the same order, to put in place of its first argument; `copy`
            makes a copy of a layer, or returns the layer itself where it cannot be made again.
    """
    copies: dict[int, tuple[Any, Any]] = {}

    kept = {id(layer) for layer in uncopied(model)}

    def clone(layer: Any) -> Any:
        copies[id(layer)] = (layer, change(layer, _itself if id(layer) in kept else copy_layer))
        return copies[id(layer)][1]

    nested = [layer for _, layer in walk(model) if isinstance(layer, keras.Model) and layer.compiled]
    for layer in nested:  # clone_model would serialise the compiled state, and fail on a user's own functions
        layer.compiled = False
    try:
        new = keras.models.clone_model(model, clone_function=clone, recursive=True)
    finally:
        for layer in nested:
            layer.compiled = True
    _copy_weights(copies)
    _carry_over_class(model, new, copies)
    recompile(model, new)
    return new


def _itself(layer: Any) -> Any:
    return layer


def _copy_weights(copies: dict[int, tuple[Any, Any]]) -> None:
    for old, new in copies.values():
        if isinstance(old, keras.Layer):
            if type(old) is not type(new):  # one of them is wrapped: masks belong to the wrapper alone
                old, new = unwrapped(old), unwrapped(new)
            if old.built and not new.built:
                new.build_from_config(old.get_build_config())
            if _shapes(old) != _shapes(new):  # made of `old` in another form, with its weights
                continue
            assign_all(new, old.variables)
            for source, target in zip(old.variables, new.variables, strict=True):
                target.trainable = source.trainable


def _shapes(layer: keras.Layer) -> list[tuple]:
    return [tuple(variable.shape) for variable in layer.variables]


def _carry_over_class(old: keras.Model, new: keras.Model, copies: dict[int, tuple[Any, Any]]) -> None:
    """Gives `new` the user's own subclass of a graph model (its `train_step`), and the plain attributes it has set."""
    if type(old) is type(new) or not is_graph(old):
        return
    new.__class__ = type(old)
    for name, value in vars(old).items():
        if name not in vars(new):
            setattr(new, name, copies[id(value)][1] if id(value) in copies else value)


def _copy_object(value: Any) -> Any:
    """A copy of a Keras loss or metric; other values (names, functions) as they are."""
    if hasattr(value, "get_config") and hasattr(type(value), "from_config"):
        return type(value).from_config(value.get_config())
    return value


def recompile(old: keras.Model, new: keras.Model) -> None:
    """Compiles `new` as `old` was, with an optimizer and metrics of its own.

    The optimizer is at the same step, or at step 0 where other variables are trained than before.
    """
    compile_like(old, new)
    if old.compiled and old.optimizer.built and _trained(old) == _trained(new):
        new.optimizer.build(new.trainable_variables)
        for source, target in zip(old.optimizer.variables, new.optimizer.variables, strict=True):
            target.assign(source)


def _trained(model: keras.Model) -> list[tuple[str, tuple]]:
    return [(variable.name, tuple(variable.shape)) for variable in model.trainable_variables]


def _names(model: keras.Model) -> list[str]:
    return [variable.name for variable in model.trainable_variables]


def compile_like(old: keras.Model, new: keras.Model) -> None:
    """Compiles `new` as `old` was, if it was, with an optimizer and metrics of its own, the optimizer at step 0."""
    if old.compiled:
        config = {name: value for name, value in old._compile_config.config.items() if name != "optimizer"}
        config = keras.tree.map_structure(_copy_object, config)
        new.compile(**{**config, "optimizer": copy_optimizer(old.optimizer)})
        pairs = list(zip(old.trainable_variables, new.trainable_variables, strict=False))
        if _names(old) == _names(new):  # a weight may have another shape: its kept values, or fewer channels
            keep_exclusions(old.optimizer, new.optimizer, pairs)
