"""The masks that a model holds, alike for weights that are zero where pruned and for layers without pruned weights."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol

import keras
import numpy as np

from tf_pai.layers.paths import owned_weights, weights_of
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.wrapping import prunable_layers


class HeldMask(Protocol):
    """The mask of one weight of a model."""

    weight: keras.Variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense weight."""

    def kept(self) -> int:
        """Returns how many weights are kept."""

    def positions(self) -> np.ndarray:
        """Returns the row-major positions of the kept weights, rising."""

    def as_bool(self) -> np.ndarray:
        """Returns the mask as booleans of the dense weight's shape."""


@dataclasses.dataclass(frozen=True)
class DenseMask:
    """A mask beside a dense weight, which is zero where it is pruned.

    Attributes:
        weight: the weight.
        mask: its mask, 1 = kept.
    """

    weight: keras.Variable
    mask: keras.Variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return tuple(self.mask.shape)

    def kept(self) -> int:
        """Returns how many weights are kept."""
        return int(np.count_nonzero(self.mask.numpy()))

    def positions(self) -> np.ndarray:
        """Returns the row-major positions of the kept weights, rising."""
        return np.flatnonzero(self.mask.numpy())

    def as_bool(self) -> np.ndarray:
        """Returns the mask as booleans."""
        return self.mask.numpy() != 0


@dataclasses.dataclass(frozen=True)
class SparseMask:
    """The places of the kept weights of a sparse layer.

    Attributes:
        layer: the layer.
    """

    layer: SparseKernel

    @property
    def weight(self) -> keras.Variable:
        """The kept values."""
        return self.layer._kernel

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense kernel, which does not exist."""
        return self.layer.kernel_shape

    def kept(self) -> int:
        """Returns how many weights are kept."""
        return self.layer.nnz

    def positions(self) -> np.ndarray:
        """Returns the row-major positions of the kept weights, rising."""
        return self.layer.positions()

    def as_bool(self) -> np.ndarray:
        """Returns the mask as booleans of the dense kernel's shape."""
        return self.layer.as_bool()


def held_masks(model: keras.Layer) -> dict[str, HeldMask]:
    """Returns {path: mask} of every weight of a model that has one, in model order."""
    pairs = {id(w): DenseMask(w, mask) for layer in prunable_layers(model).values() for w, mask in layer.pairs.values()}
    found: dict[str, Any] = {}
    for path, owner, variable in owned_weights(model):
        if isinstance(owner, SparseKernel) and variable is owner._kernel:
            found[path] = SparseMask(owner)
        elif id(variable) in pairs:
            found[path] = pairs[id(variable)]
    return found


def weight_shapes(model: keras.Layer) -> dict[str, tuple[int, ...]]:
    """Returns {path: shape} of every weight of a model, that of a sparse kernel as if it were dense."""
    held = held_masks(model)
    shapes = {path: tuple(variable.shape) for path, variable in weights_of(model).items()}
    return {path: held[path].shape if path in held else shape for path, shape in shapes.items()}


def kept_counts(model: keras.Layer) -> dict[str, tuple[int, int]]:
    """Returns {path: (kept weights, all weights)} of every weight of a model that has a mask, in model order."""
    return {path: (held.kept(), math.prod(held.shape)) for path, held in held_masks(model).items()}
