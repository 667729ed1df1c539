"""Subclassed models: the user's object and class are kept, the layers it holds are replaced where it holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES

from tf_pai.layers.copying import Copy
from tf_pai.layers.normalizing import FusedBatchNormalization
from tf_pai.layers.paths import attribute_paths, is_graph, walk
from tf_pai.layers.prunable import PACKAGE, PrunableLayer
from tf_pai.layers.rebuilding import rebuild
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.sparse_attention import SparseMultiHeadAttention

Change = Callable[[keras.Layer], keras.Layer]
# Each stands for a Keras layer, which its `to_dense` gives.
OF_TF_PAI = (SparseKernel, SparseMultiHeadAttention, FusedBatchNormalization)
_OF_THE_LAYER = ("layer", "name", "dtype", "trainable")  # what a wrapper's config takes from the layer it wraps


def holds_masks(layer: Any) -> bool:
    """Tells whether a layer is a Sequential or functional model with layers of tf_pai inside, to be replaced there."""
    return is_graph(layer) and any(isinstance(part, (PrunableLayer, *OF_TF_PAI)) for _, part in walk(layer))


def _replaced(value: Any, changes: dict[int, keras.Layer]) -> Any:
    """`value` with layers replaced: lists and dicts in place, tuples anew."""
    if isinstance(value, keras.Layer):
        return changes.get(id(value), value)
    if isinstance(value, tuple):
        items = [_replaced(item, changes) for item in value]
        kind = value.__class__  # the tuple's own: its type may be TensorFlow's wrapper of tuples
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    if isinstance(value, (list, dict)):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            new = _replaced(item, changes)
            if new is not item:
                value[key] = new
    return value


def replace_children(model: keras.Model, change: Change) -> None:
    """Puts `change(child)` in place of every layer that `model` itself holds."""
    names = attribute_paths(model)
    changes = {}
    for child in list(model._layers):
        new = change(child)
        if new is not child:
            if id(child) not in names:
                raise ValueError(
                    f"A layer of a subclassed model can be replaced where an attribute, list, tuple or dict holds it. "
                    f"Received: layer {child.name!r}, which none does. Assign it to an attribute of the model."
                )
            changes[id(child)] = (child, new)
    was_locked = model._tracker.locked
    model._tracker.unlock()
    for old, new in changes.values():
        model._tracker.replace_tracked_value("layers", old, new)
    replacements = {key: new for key, (_, new) in changes.items()}
    for name, value in list(vars(model).items()):
        own = name in ("_layers", "_metrics") or name.startswith("_self_")  # kept right by Keras and TensorFlow
        if isinstance(value, (keras.Layer, list, tuple, dict)) and not own:
            new = _replaced(value, replacements)
            if new is not value and not _same_items(new, value):
                setattr(model, name, new)
    if was_locked:
        model._tracker.lock()
    model.train_function = model.test_function = model.predict_function = None
    if isinstance(model, keras.Model) and model.compiled and model._compile_config.config.get("jit_compile") is True:
        asked, model.jit_compile = model.jit_compile, False  # setting what is there already would do nothing
        model.jit_compile = asked  # Keras turns it off, with a warning, where a new layer does not allow it


def _same_items(new: Any, old: Any) -> bool:
    return isinstance(new, tuple) and len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))


def _form_of(layer: keras.Layer) -> dict[str, Any] | None:
    """What a configuration says of a layer that is not as the user's code makes it; None of any other."""
    if isinstance(layer, PrunableLayer):
        options = {k: v for k, v in layer.get_config().items() if k not in _OF_THE_LAYER}
        return {"class": keras.saving.get_registered_name(type(layer)), "options": options}
    if isinstance(layer, OF_TF_PAI):
        return {"class": keras.saving.get_registered_name(type(layer)), "layer": layer.get_config()}
    if holds_masks(layer):
        forms = {str(i): _form_of(part) for i, part in enumerate(_parts(layer))}
        return {"inside": {i: form for i, form in forms.items() if form is not None}}
    return None


def _in_form(layer: Any, form: dict[str, Any]) -> Any:
    """A layer as the user's code makes it, in the form that `_form_of` has told."""
    if "inside" in form:
        order = {id(part): str(i) for i, part in enumerate(_parts(layer))}

        def changed(part: Any, copy: Copy) -> Any:
            inner = form["inside"].get(order.get(id(part)))
            return copy(part) if inner is None else _in_form(copy(part), inner)

        return rebuild(layer, changed)
    kind = keras.saving.get_registered_object(form["class"])
    return kind.from_config(form["layer"]) if "layer" in form else kind(layer, **form["options"])


def _parts(graph: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a graph, those of nested graphs in their place."""
    for layer in graph.layers:
        if is_graph(layer):
            yield from _parts(layer)
        else:
            yield layer


class SubclassedModel(keras.Model):
    """Stands in the config of a wrapped subclassed model: makes the user's model again, and wraps it again."""

    def get_config(self) -> dict:
        """Returns the configuration of the user's model, and which of its layers are wrapped."""
        wrapped = {}
        children = {id(layer): layer for layer in self._layers}
        for child_id, path in attribute_paths(self).items():
            form = _form_of(children[child_id]) if child_id in children else None
            if form is not None:
                wrapped[path] = form
        this_class = type(self)
        self.__class__ = self._tf_pai_plain_class
        try:
            plain = keras.saving.serialize_keras_object(self)
        finally:
            self.__class__ = this_class
        plain.pop("compile_config", None)  # the saved file holds these for the whole model
        plain.pop("build_config", None)
        return {"tf_pai_wrapped": wrapped, "plain": plain}

    def __reduce__(self) -> tuple:
        arguments = super().__reduce__()[1]
        return keras.Model._unpickle_model, arguments  # pickle finds the plain class by name, not this one

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> keras.Model:
        """Returns the model of a configuration, wrapped where it says so."""
        if "tf_pai_wrapped" not in config:
            return cls._tf_pai_plain_class.from_config(config)
        plain = keras.saving.deserialize_keras_object(config["plain"], custom_objects=custom_objects)
        names = attribute_paths(plain)
        wrapped = config["tf_pai_wrapped"]

        def rewrapped(layer: keras.Layer) -> keras.Layer:
            form = wrapped.get(names.get(id(layer)))
            return layer if form is None else _in_form(layer, form)

        replace_children(plain, rewrapped)
        remember_wrapping(plain)
        return plain


keras.saving.register_keras_serializable(PACKAGE, "SubclassedModel")(SubclassedModel)


def remember_wrapping(model: keras.Model) -> None:
    """Gives `model` a class of its own class's name, whose config says which children are wrapped."""
    plain_class = type(model)
    if issubclass(plain_class, SubclassedModel):
        return
    wrapped_class = type(
        plain_class.__name__,
        (SubclassedModel, plain_class),
        {"__module__": plain_class.__module__, "_tf_pai_plain_class": plain_class},
    )
    GLOBAL_CUSTOM_NAMES[wrapped_class] = f"{PACKAGE}>SubclassedModel"
    model.__class__ = wrapped_class
