"""Keras' multi-head attention with sparse projections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.layers.copying import in_form
from tf_pai.layers.prunable import PACKAGE
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.sparse_layers import SparseEinsumDense
from tf_pai.layers.structured import StructuredMasks

_PROJECTIONS = ("query", "key", "gate", "value", "output")


def projections(attention: keras.layers.MultiHeadAttention) -> dict[str, keras.layers.Layer]:
    """Returns {name: the layer that projects} of a built attention layer: query, key, value, output, and any gate."""
    found = {name: getattr(attention, f"_{name}_dense", None) for name in _PROJECTIONS}
    return {name: layer for name, layer in found.items() if layer is not None}


@keras.saving.register_keras_serializable(PACKAGE)
class SparseMultiHeadAttention(StructuredMasks, keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` whose projections hold and compute with a fraction of their weights only.

    Args:
        *args: of `keras.layers.MultiHeadAttention`.
        densities: {"query", "key", "value", "output" or "gate": fraction of its weights that is kept}; a projection
            that is not in it is dense. Which weights are kept is random, until `tf_pai.set_masks` places them.
        **kwargs: of `keras.layers.MultiHeadAttention`.

    Example:
        >>> layer = SparseMultiHeadAttention(2, 4, densities={"query": 0.5, "output": 0.25})
        >>> tuple(layer(np.ones((1, 3, 8), "float32"), np.ones((1, 3, 8), "float32")).shape)
        (1, 3, 8)
        >>> [type(projection).__name__ for projection in projections(layer).values()]
        ['SparseEinsumDense', 'EinsumDense', 'EinsumDense', 'SparseEinsumDense']
    """

    stands_for = keras.layers.MultiHeadAttention

    def __init__(self, *args: Any, densities: dict[str, float], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.densities = dict(densities)

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Builds the layer, and makes projections sparse."""
        super().build(query_shape, value_shape, key_shape)
        for name, density in self.densities.items():
            dense = projections(self)[name]
            sparse = in_form(dense, SparseEinsumDense, {"density": density})
            sparse.build_from_config(dense.get_build_config())
            _put(self, name, sparse)

    def get_config(self) -> dict:
        """Returns Keras' configuration, and the densities."""
        return {**super().get_config(), "densities": dict(self.densities)}

    @classmethod
    def from_dense(cls, layer: keras.layers.MultiHeadAttention, flat: dict[str, np.ndarray]) -> Any:
        """Returns the sparse form of a built layer, with its weights.

        Args:
            layer: Keras' layer.
            flat: {projection: row-major positions of the weights to keep}.
        """
        parts = projections(layer)
        densities = {name: kept.size / int(np.prod(parts[name].kernel.shape)) for name, kept in flat.items()}
        new = in_form(layer, cls, {"densities": densities})
        return _filled(new, layer, lambda n, part: SparseEinsumDense.from_dense(part, flat[n]) if n in flat else None)

    def resized(self, flat: dict[str, np.ndarray]) -> Any:
        """Returns a layer that keeps the weights at other positions, any number of them; those that stay, at value.

        Args:
            flat: {sparse projection: rising row-major positions}; others keep theirs.
        """
        sparse = {name: part for name, part in projections(self).items() if isinstance(part, SparseKernel)}
        made = {name: part.resized(flat.get(name, part.positions())) for name, part in sparse.items()}
        densities = {name: part.density for name, part in made.items()}
        new = in_form(self, type(self), {"densities": densities})
        return _filled(new, self, lambda name, _: made.get(name))

    def to_dense(self) -> keras.layers.MultiHeadAttention:
        """Returns Keras' layer with the same weights, zeros at pruned places."""
        new = in_form(self, self.stands_for, without=("densities", "mask_structure"))
        return _filled(new, self, lambda _, part: part.to_dense() if isinstance(part, SparseKernel) else None)


def _filled(new: Any, old: Any, projection_of: Callable[[str, Any], Any]) -> Any:
    """`new`, built as `old` was, with its weights; where `projection_of(name, projection of old)` is one, with that."""
    new.build_from_config(old.get_build_config())
    with keras.name_scope(new.name, caller=new):
        made = {name: projection_of(name, part) for name, part in projections(old).items()}
    pairs = [(part, projections(new)[name]) for name, part in projections(old).items() if made[name] is None]
    for source_layer, target_layer in [*pairs, (old._dropout_layer, new._dropout_layer)]:
        for source, target in zip(source_layer.variables, target_layer.variables, strict=True):
            target.assign(source)
            target.trainable = source.trainable
    for name, part in made.items():
        if part is not None:
            _put(new, name, part)
    return new


def _put(attention: Any, name: str, projection: keras.Layer) -> None:
    """Puts a projection where another one was, at its place in the order of weights."""
    attribute, tracker = f"_{name}_dense", attention._tracker
    was_locked = tracker.locked
    tracker.unlock()
    tracker.replace_tracked_value("layers", getattr(attention, attribute), projection)
    setattr(attention, attribute, projection)
    if was_locked:
        tracker.lock()
