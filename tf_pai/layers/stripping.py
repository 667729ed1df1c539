"""Pruned model -> plain Keras model."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.layers.carrying import TrainingState
from tf_pai.layers.copying import Copy
from tf_pai.layers.paths import is_graph, unwrapped, weights_of
from tf_pai.layers.prunable import PrunableLayer
from tf_pai.layers.rebuilding import rebuild
from tf_pai.layers.subclassed import OF_TF_PAI, SubclassedModel, holds_masks, replace_children
from tf_pai.layers.wrapping import prunable_layers, refuse_inner_sparse_layers


def strip(model: keras.Model) -> keras.Model:
    """Returns the plain Keras model, zeros baked in: no mask is left, and nothing of tf_pai.

    It loads where tf_pai is not installed. Nothing keeps its zeros at zero: training it further makes it dense.

    Args:
        model: a pruned model. A Sequential or functional one is rebuilt, and left untouched; a subclassed one has its
            layers unwrapped in place, and is returned itself. A plain model comes back as a plain model.

    Raises:
        TypeError: `model` is no Keras 3 model.
        ValueError: a layer that is none of the model's own, but held by one of them, is sparse.

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
    refuse_inner_sparse_layers(model)
    state, layers = TrainingState.of(model), prunable_layers(model).values()
    baked = {id(variable): value for layer in layers for variable, value in layer.effective_weights()}
    frozen = {id(variable) for layer in layers for variable in layer.frozen}
    places = {path: id(variable) for path, variable in weights_of(model).items()}
    plain = rebuild(model, _unwrapped_copy) if is_graph(model) else _unwrapped_in_place(model)
    for path, variable in weights_of(plain).items():
        variable.trainable = variable.trainable or places[path] in frozen
        if places[path] in baked:
            variable.assign(baked[places[path]])
    state.carry_to(plain)
    return plain


def _unwrapped_copy(layer: Any, copy: Copy) -> Any:
    return layer.to_dense() if isinstance(layer, OF_TF_PAI) else copy(unwrapped(layer))


def _unwrapped_in_place(model: keras.Model) -> keras.Model:
    replace_children(model, _bare)
    if isinstance(model, SubclassedModel):
        model.__class__ = model._tf_pai_plain_class
    return model


def _bare(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, OF_TF_PAI):
        return layer.to_dense()
    if holds_masks(layer):
        return rebuild(layer, _unwrapped_copy)
    if isinstance(layer, PrunableLayer):
        for variable, _ in layer.pairs.values():
            variable.constraint = variable.constraint.user
    return unwrapped(layer)
