"""What a selected network is made from, besides its masks, and the network made again from it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.layers import prunable_layers, weights_of
from tf_pai.masks import Masks
from tf_pai.selection.layer import ScoredLayer
from tf_pai.selection.rule import fan_in
from tf_pai.selection.wrapping import wrap_to_select


def description_of(model: keras.Model) -> dict[str, Any] | None:
    """Returns what `restore` needs besides weights and masks, as JSON takes it; None for a model without scores."""
    layers = [layer for layer in prunable_layers(model).values() if isinstance(layer, ScoredLayer)]
    if not layers:
        return None
    first = layers[0]
    places = scored_weights(model)
    origin = first.origin or {"model": model.name, "weights": "own", "seed": first.seed}
    return {
        **origin,
        "rule": keras.saving.serialize_keras_object(first.rule),
        "scaled": first.rule.scales_weights,
        "structure": first.structure,
        "keep": {path: layer.keep_of(own) for path, (layer, own) in places.items()},
        "shared": {path: layer.shared_of(own) for path, (layer, own) in places.items()},
        "fan_in": {path: fan_in(layer.places[own][0]) for path, (layer, own) in places.items()},
    }


def scored_weights(model: keras.Model) -> dict[str, tuple[ScoredLayer, str]]:
    """Returns {path: (layer, path inside it)} of every weight that has scores, in model order."""
    layers = [layer for layer in prunable_layers(model).values() if isinstance(layer, ScoredLayer)]
    found = {id(w): (layer, own) for layer in layers for own, (w, _) in layer.pairs.items()}
    return {path: found[id(w)] for path, w in weights_of(model).items() if id(w) in found}


def restore(
    model: keras.Model, description: dict[str, Any], values: dict[str, np.ndarray], masks: Masks
) -> keras.Model:
    """Returns the selected network, with scores that mean its masks.

    Args:
        model: a model of its architecture, without masks.
        description: what `description_of` said, its paths those of `model`.
        values: {path: value} of every weight.
        masks: {path: boolean array} of every weight that has scores.
    """
    options = {
        "rule": keras.saving.deserialize_keras_object(description["rule"]),
        "structure": description["structure"],
        "origin": {name: description[name] for name in ("model", "weights", "seed")},
    }
    selected = wrap_to_select(model, description["keep"], description["shared"], options)
    for path, variable in weights_of(selected).items():
        variable.assign(values[path])
    for path, (layer, own) in scored_weights(selected).items():
        layer.take_mask(own, masks[path])
    return selected
