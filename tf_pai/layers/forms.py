"""A sparse layer made of the plain one that it stands for, of itself at other places, and back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.layers.copying import in_form
from tf_pai.layers.positions import carried_over

OWN_OPTIONS = ("density", "distribution", "seed")


class Convertible:
    """Mixed into `SparseKernel`."""

    @classmethod
    def from_dense(cls, layer: keras.Layer, flat: np.ndarray) -> Any:
        """Returns the sparse form of a built plain layer, with its weights.

        Args:
            layer: a layer of the class that this one stands for.
            flat: row-major positions of the weights to keep.
        """
        size = int(np.prod(layer.kernel.shape, dtype=np.int64))
        sparse = _built(in_form(layer, cls, {"density": flat.size / size}), layer, flat)
        sparse._kernel.assign(layer.kernel.numpy().reshape(-1)[np.sort(flat)])
        return sparse

    def resized(self: Any, flat: np.ndarray) -> Any:
        """Returns a layer that keeps the weights at other positions, any number of them; those that stay, at value.

        Args:
            flat: rising row-major positions.
        """
        size = int(np.prod(self.kernel_shape, dtype=np.int64))
        layer = _built(in_form(self, type(self), {"density": flat.size / size}), self, flat)
        layer._kernel.assign(carried_over(self._kernel.numpy(), self.positions(), flat))
        return layer

    def to_dense(self: Any) -> keras.layers.Layer:
        """Returns the plain layer with the same weights, zeros at pruned places."""
        layer = _built(in_form(self, self.stands_for, without=(*OWN_OPTIONS, "mask_structure")), self)
        layer._kernel.assign(self.dense_value())
        return layer


def _built(new: Any, old: Any, flat: np.ndarray | None = None) -> Any:
    """`new`, built as `old` was, with its bias; where `flat` is given, with kept weights there."""
    if flat is not None:
        new.__dict__["_positions"] = flat
    new.build_from_config(old.get_build_config())
    new._kernel.trainable = old._kernel.trainable
    if old.bias is not None:
        new.bias.assign(old.bias)
        new.bias.trainable = old.bias.trainable
    return new
