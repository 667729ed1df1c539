"""The structures: single weights, N of M, blocks, filters."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.layers import PrunableWeight
from tf_pai.structures.base import Arrays, Structure, Weights


class Unstructured(Structure):
    """Each weight is an element of its own."""

    def pool(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        """Returns the scores themselves."""
        return score

    def spread(self, weight: PrunableWeight, kept: np.ndarray) -> np.ndarray:
        """Returns the mask itself."""
        return kept

    def __repr__(self) -> str:
        return "unstructured"


class NM(Structure):
    """N of each M consecutive weights along the input (reduction) axis stay, "2:4" in newer GPUs' hardware.

    Args:
        n: how many of each group stay.
        m: the group's length.
        axis: the axis of the groups; default: the one that the layer sums over.

    Raises:
        ValueError: not 0 < n < m.

    Reference: Mishra et al. 2021, "Accelerating sparse deep neural networks", arXiv 2104.08378, section 3.
    """

    def __init__(self, n: int, m: int, axis: int | None = None):
        if not 0 < n < m:
            raise ValueError(f"N:M keeps N of each M weights, 0 < N < M. Received: {n}:{m}.")
        self.n, self.m, self.axis, self.density = n, m, axis, n / m

    def _axis(self, weight: PrunableWeight) -> int:
        axis = weight.input_axis if self.axis is None else self.axis
        return axis % len(weight.shape)

    def check(self, weight: PrunableWeight) -> None:
        """Raises ValueError where the axis is no multiple of M."""
        axis = self._axis(weight)
        if weight.shape[axis] % self.m:
            raise ValueError(
                f"{self!r} needs an axis that is a multiple of {self.m}. Received: {weight.path!r} of shape "
                f"{weight.shape}, axis {axis}. Leave it out with exclude={weight.path!r}."
            )

    def _groups(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(score, self._axis(weight), -1)
        return moved.reshape(*moved.shape[:-1], -1, self.m)

    def pool(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        """Returns the scores, in groups of M along a last axis."""
        return self._groups(weight, score)

    def spread(self, weight: PrunableWeight, kept: np.ndarray) -> np.ndarray:
        """Returns the mask of the groups."""
        joined = kept.reshape(*kept.shape[:-2], -1)
        return np.ascontiguousarray(np.moveaxis(joined, -1, self._axis(weight)))

    def choose(self, weights: Weights, scores: Arrays, keep: int, min_keep: int = 0) -> Arrays:
        """Returns masks with the N highest of each group; the pattern, not `keep`, says how many."""
        masks = {}
        for path, score in scores.items():
            groups = self.pool(weights[path], score)
            best = np.argsort(-groups, axis=-1, kind="stable")[..., : self.n]
            kept = np.zeros(groups.shape, bool)
            np.put_along_axis(kept, best, True, axis=-1)
            masks[path] = self.spread(weights[path], kept)
        return masks

    def __repr__(self) -> str:
        return f"{self.n}:{self.m}"


class Block(Structure):
    """Blocks of `rows` inputs by `columns` outputs of the kernel's last two axes.

    Args:
        rows: inputs per block.
        columns: outputs per block.

    Reference: Gray et al. 2017, "GPU kernels for block-sparse weights".
    """

    def __init__(self, rows: int, columns: int):
        if rows < 1 or columns < 1:
            raise ValueError(f"A block has at least one row and one column. Received: {rows}x{columns}.")
        self.rows, self.columns = rows, columns

    def check(self, weight: PrunableWeight) -> None:
        """Raises ValueError where blocks do not tile the last two axes."""
        inputs, outputs = weight.shape[-2:]
        if inputs % self.rows or outputs % self.columns:
            raise ValueError(
                f"{self!r} needs a kernel whose last two axes are multiples of {self.rows} and {self.columns}. "
                f"Received: {weight.path!r} of shape {weight.shape}. Leave it out with exclude={weight.path!r}."
            )

    def pool(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        """Returns the mean score of each block."""
        *front, inputs, outputs = score.shape
        tiles = score.reshape(*front, inputs // self.rows, self.rows, outputs // self.columns, self.columns)
        return tiles.mean(axis=(-3, -1))

    def spread(self, weight: PrunableWeight, kept: np.ndarray) -> np.ndarray:
        """Returns the mask of the blocks."""
        return kept.repeat(self.rows, axis=-2).repeat(self.columns, axis=-1)

    def __repr__(self) -> str:
        return f"block:{self.rows}x{self.columns}"


class Filter(Structure):
    """Whole output channels of Dense and convolution layers; their bias and BatchNorm scale and shift go with them.

    Channels of other layers are no filters (an embedding's columns, a recurrent cell's gates), and stay.

    Reference: Li et al. 2017, "Pruning filters for efficient ConvNets", section 3.1.
    """

    def takes_part(self, weight: PrunableWeight) -> bool:
        """Tells whether the weight is the kernel of a Dense or (transposed) convolution layer."""
        layers = keras.layers
        convolutions = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
        transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
        return isinstance(weight.owner, (layers.Dense, *convolutions, *transposed))

    def pool(self, weight: PrunableWeight, score: np.ndarray) -> np.ndarray:
        """Returns the mean score of each output channel."""
        return np.moveaxis(score, weight.output_axis, -1).reshape(-1, weight.shape[weight.output_axis]).mean(0)

    def spread(self, weight: PrunableWeight, kept: np.ndarray) -> np.ndarray:
        """Returns the mask of the channels."""
        shape = [1] * len(weight.shape)
        shape[weight.output_axis] = -1
        return np.broadcast_to(kept.reshape(shape), weight.shape).copy()

    def __repr__(self) -> str:
        return "filter"
