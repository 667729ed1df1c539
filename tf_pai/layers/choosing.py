"""Which of a model's prunable weights take part: patterns of the user's, and layers that must stay what they are."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable
from typing import Any

import keras

from tf_pai.layers.paths import PrunableWeight, attribute_paths, has_config, is_graph, prunable_weights, walk
from tf_pai.registry import nearest


def matches(path: str, pattern: str) -> bool:
    """Tells whether a weight's path, or the path of its layer, matches an fnmatch pattern.

    Example:
        >>> matches("block/fc/kernel", "block/*"), matches("block/fc/kernel", "block/fc")
        (True, True)
    """
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path.rpartition("/")[0], pattern)


def is_selected(model: keras.Layer) -> bool:
    """Tells whether a subnetwork is being selected from the model: its weights are frozen, and scores are trained."""
    return any(getattr(layer, "frozen", ()) for _, layer in walk(model))


def participating(model: keras.Model, include: Any = None, exclude: Any = None) -> dict[str, PrunableWeight]:
    """Returns the prunable weights that match `include` and do not match `exclude`, in model order.

    Args:
        model: a built model.
        include: fnmatch pattern or patterns of paths of weights or layers; None for all.
        exclude: the same; None for none.

    Raises:
        ValueError: a pattern that matches nothing, or nothing left to prune.
    """
    weights = _of_replaceable_layers(model, prunable_weights(model))
    chosen = set(weights) if include is None else _matching(weights, include, "include")
    if exclude is not None:
        chosen -= _matching(weights, exclude, "exclude")
    if not chosen:
        raise ValueError(
            "Pruning needs prunable weights: trainable float variables of rank 2 or more. Received: "
            f"{type(model).__name__} {model.name!r} with none{' after include and exclude' if weights else ''}. "
            f"{_hint(model)}"
        )
    return {path: weight for path, weight in weights.items() if path in chosen}


def _hint(model: keras.Model) -> str:
    """What to do with a model that has nothing to prune."""
    if is_selected(model):
        return "select_subnet froze them: tf_pai.strip it."
    if any(hasattr(layer, "structure_variables") for _, layer in walk(model)):
        return "Its layers are sparse already: call tf_pai.to_dense first, or place their weights by tf_pai.set_masks."
    return "Is the model built, and trainable?"


def _of_replaceable_layers(model: keras.Model, weights: dict[str, PrunableWeight]) -> dict[str, PrunableWeight]:
    """Returns the weights without those of layers that no wrapper can take the place of; these are logged."""
    left_out: set[int] = set()
    for layer in _irreplaceable(model):
        own = {id(weight.variable) for weight in prunable_weights(layer).values()}
        if own:
            logging.getLogger("tf_pai").warning(
                "Layer %r of class %s stays dense: %s.", layer.name, type(layer).__name__, _IRREPLACEABLE
            )
        left_out |= own
    return {path: weight for path, weight in weights.items() if id(weight.variable) not in left_out}


_IRREPLACEABLE = (
    "it has no get_config, or shares weights with a layer that has none, or no attribute, list, tuple or dict of the "
    "model holds it"
)


def _irreplaceable(model: keras.Model) -> list[keras.Layer]:
    if is_graph(model):
        return uncopied(model)
    held = attribute_paths(model)
    return [layer for layer in model._layers if id(layer) not in held]


def uncopied(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers of a graph, nested ones included, that stay what they are where the graph is rebuilt.

    Those cannot be made again for lack of a configuration, or share weights, tied by hand, with one that cannot.
    """
    graphs = [layer for _, layer in walk(model) if is_graph(layer)]
    layers = [layer for graph in graphs for layer in graph.layers if not is_graph(layer)]
    held = {id(variable) for layer in layers if not has_config(layer) for variable in layer.variables}
    return [layer for layer in layers if not has_config(layer) or held & {id(v) for v in layer.variables}]


def _matching(weights: dict[str, PrunableWeight], patterns: Any, argument: str) -> set[str]:
    listed = [patterns] if isinstance(patterns, str) or not isinstance(patterns, Iterable) else list(patterns)
    if not all(isinstance(pattern, str) for pattern in listed):
        raise ValueError(f"{argument}= is a pattern, or several. Received: {argument}={patterns!r}.")
    found: set[str] = set()
    for pattern in listed:
        hits = {path for path in weights if matches(path, pattern)}
        if not hits:
            raise ValueError(
                f"Each pattern of {argument}= matches a weight. Received: {pattern!r}, which matches none."
                f"{nearest(pattern, list(weights))} Weights: {', '.join(weights)}."
            )
        found |= hits
    return found
