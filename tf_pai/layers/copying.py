"""Layers made again from the configuration of others, with the functions that the user gave them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import FunctionType
from typing import Any

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from tf_pai.layers.paths import has_config, unwrapped

Copy = Callable[[Any], Any]


def copy_layer(layer: Any, changes: dict[str, Any] | None = None) -> Any:
    """Returns a layer (or graph operation) of the same configuration but for `changes`, with weights of its own.

    A layer of a class that has no configuration cannot be made again: it is returned itself.
    """
    if isinstance(layer, keras.layers.Lambda):
        return _copy_lambda(layer)
    if unwrapped(layer) is not layer:
        return _copy_wrapper(layer, changes or {})
    return in_form(layer, type(layer), changes) if has_config(layer) else layer


def in_form(layer: Any, form: Any, changes: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Any:
    """Returns a layer of the class `form`, not built, with the configuration of another.

    Args:
        layer: the other.
        form: a class whose configuration has the same entries.
        changes: entries that differ, or are not there.
        without: entries that `form` does not have.
    """
    config = {name: value for name, value in layer.get_config().items() if name not in without}
    config, functions = {**config, **(changes or {})}, _functions(layer)
    with SafeModeScope(False):  # functions come from the user's own layer, not from a file
        if functions:
            with contextlib.suppress(Exception):  # a class of the user's may take them as Keras writes them down only
                return form.from_config({**config, **functions})
        return form.from_config(config)


def _copy_wrapper(layer: Any, changes: dict[str, Any]) -> Any:
    """As Keras makes a wrapper of its configuration, but for functions that the layer inside may have."""
    config = {name: value for name, value in layer.get_config().items() if name != "layer"}
    inner, build_config = copy_layer(layer.layer), layer.layer.get_build_config()
    if layer.layer.built and not inner.built and build_config:
        inner.build_from_config(build_config)
    return type(layer)(inner, **{**config, **changes})


def _copy_lambda(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    """From its configuration its function would come back as bytes of code, without the globals that it uses."""
    base = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype_policy}
    return type(layer)(layer.function, layer._output_shape, layer.mask, layer.arguments, **base)


def _functions(layer: Any) -> dict[str, FunctionType]:
    """The functions in a layer's configuration, which Keras writes down by a name that it may not find again."""
    written = {
        name: getattr(layer, name, None) for name, value in layer.get_config().items() if isinstance(value, dict)
    }
    return {name: value for name, value in written.items() if isinstance(value, FunctionType)}
