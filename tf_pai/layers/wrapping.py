"""Plain Keras model <-> model whose prunable layers are PrunableLayers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES

from tf_pai.layers.normalizing import FusedBatchNormalization
from tf_pai.layers.paths import attribute_paths, has_config, is_graph, unwrapped, walk, weights_of
from tf_pai.layers.prunable import PACKAGE, PrunableLayer
from tf_pai.layers.rebuilding import Copy, rebuild
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.sparse_attention import SparseMultiHeadAttention

Change = Callable[[keras.Layer], keras.Layer]
# Each stands for a Keras layer, which its `to_dense` gives.
_OF_TF_PAI = (SparseKernel, SparseMultiHeadAttention, FusedBatchNormalization)
_OF_THE_LAYER = ("layer", "name", "dtype", "trainable")  # what a wrapper's config takes from the layer it wraps


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
    """Returns the model with other layers in place of its own.

    A Sequential or functional model is rebuilt and left untouched; in any other, layers are replaced in place.

    Args:
        model: a built model.
        change: called with (layer or graph operation, what may be put in its place: a copy, or the layer itself where
            it is replaced in place), gives what is put there.
    """
    if is_graph(model):
        return rebuild(model, lambda layer, copy: change(layer, copy(layer)))
    _replace_children(model, lambda layer: change(layer, layer))
    _remember_wrapping(model)
    return model


def strip(model: keras.Model) -> keras.Model:
    """Returns the plain Keras model, zeros baked in: no mask is left, and nothing of tf_pai.

    It loads where tf_pai is not installed. Nothing keeps its zeros at zero: training it further makes it dense.

    Args:
        model: a pruned model. A Sequential or functional one is rebuilt, and left untouched; a subclassed one has its
            layers unwrapped in place, and is returned itself. A plain model comes back as a plain model.

    Raises:
        TypeError: `model` is no Keras 3 model.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> pruned = tf_pai.prune_at_init(model, "magnitude", 0.75)
        >>> plain = tf_pai.strip(pruned)
        >>> type(plain.get_layer("fc")).__name__, int((plain.get_layer("fc").kernel.numpy() != 0).sum())
        ('Dense', 2)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"strip takes a Keras 3 model. Received: {model!r} of type {type(model).__name__}. "
            "Of a single PrunableLayer, take `layer.layer`."
        )
    layers = prunable_layers(model).values()
    baked = {id(variable): value for layer in layers for variable, value in layer.effective_weights()}
    frozen = {id(variable) for layer in layers for variable in layer.frozen}
    places = {path: id(variable) for path, variable in weights_of(model).items()}
    plain = rebuild(model, _unwrapped_copy) if is_graph(model) else _unwrapped_in_place(model)
    for path, variable in weights_of(plain).items():
        variable.trainable = variable.trainable or places[path] in frozen
        if places[path] in baked:
            variable.assign(baked[places[path]])
    return plain


def _unwrapped_copy(layer: Any, copy: Copy) -> Any:
    return layer.to_dense() if isinstance(layer, _OF_TF_PAI) else copy(unwrapped(layer))


def _unwrapped_in_place(model: keras.Model) -> keras.Model:
    _replace_children(model, _bare)
    if isinstance(model, _SubclassedModel):
        model.__class__ = model._tf_pai_plain_class
    return model


def _bare(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, _OF_TF_PAI):
        return layer.to_dense()
    if isinstance(layer, PrunableLayer):
        for variable, _ in layer.pairs.values():
            variable.constraint = variable.constraint.user
    return unwrapped(layer)


def prunable_layers(model: keras.Layer) -> dict[str, PrunableLayer]:
    """Returns {path: layer} of the PrunableLayers of a model."""
    return {path: layer for path, layer in walk(model) if isinstance(layer, PrunableLayer)}


def sparse_layers(model: keras.Layer) -> dict[str, SparseKernel]:
    """Returns {path: layer} of the layers of a model that hold their kept weights only."""
    return {path: layer for path, layer in walk(model) if isinstance(layer, SparseKernel) and layer.built}


# Subclassed models: the user's object and class are kept, the layers it holds are replaced where it holds them.


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


def _replace_children(model: keras.Model, change: Change) -> None:
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


def _same_items(new: Any, old: Any) -> bool:
    return isinstance(new, tuple) and len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))


class _SubclassedModel(keras.Model):
    """Stands in the config of a wrapped subclassed model: makes the user's model again, and wraps it again."""

    def get_config(self) -> dict:
        wrapped = {}
        for child_id, path in attribute_paths(self).items():
            child = next((layer for layer in self._layers if id(layer) == child_id), None)
            if isinstance(child, PrunableLayer):
                options = {k: v for k, v in child.get_config().items() if k not in _OF_THE_LAYER}
                wrapped[path] = {"class": keras.saving.get_registered_name(type(child)), "options": options}
            elif isinstance(child, _OF_TF_PAI):
                wrapped[path] = {"class": keras.saving.get_registered_name(type(child)), "layer": child.get_config()}
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
        if "tf_pai_wrapped" not in config:
            return cls._tf_pai_plain_class.from_config(config)
        plain = keras.saving.deserialize_keras_object(config["plain"], custom_objects=custom_objects)
        names = attribute_paths(plain)
        wrapped = config["tf_pai_wrapped"]

        def rewrapped(layer: keras.Layer) -> keras.Layer:
            wrapping = wrapped.get(names.get(id(layer)))
            if wrapping is None:
                return layer
            kind = keras.saving.get_registered_object(wrapping["class"])
            return kind.from_config(wrapping["layer"]) if "layer" in wrapping else kind(layer, **wrapping["options"])

        _replace_children(plain, rewrapped)
        _remember_wrapping(plain)
        return plain


keras.saving.register_keras_serializable(PACKAGE, "SubclassedModel")(_SubclassedModel)


def _remember_wrapping(model: keras.Model) -> None:
    """Gives `model` a class of its own class's name, whose config says which children are wrapped."""
    plain_class = type(model)
    if issubclass(plain_class, _SubclassedModel):
        return
    wrapped_class = type(
        plain_class.__name__,
        (_SubclassedModel, plain_class),
        {"__module__": plain_class.__module__, "_tf_pai_plain_class": plain_class},
    )
    GLOBAL_CUSTOM_NAMES[wrapped_class] = f"{PACKAGE}>SubclassedModel"
    model.__class__ = wrapped_class
