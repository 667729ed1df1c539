"""How a sparse constant is written in a TFLite file: candidates, their bytes, and the smallest of them.

TFLite stores a tensor as a tree with one level per axis (and one per block axis). A dense level has every child; a
sparse one has segments (where each node's children begin) and indices (which children there are), as CSR has.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

BLOCKS = (2, 4, 8, 16)
_INDEX_TYPES = (np.uint8, np.uint16, np.int32)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """A way to write a tensor.

    Attributes:
        order: the axes from the root of the tree to its leaves; `rank + i` is the i-th block's inner axis.
        sparse: for each level, whether it lists the children that it has.
        blocks: {axis: size} of the axes that are cut into blocks, in the order of the axes.
        bytes: what values, segments and indices take.
    """

    order: tuple[int, ...]
    sparse: tuple[bool, ...]
    blocks: dict[int, int]
    bytes: int

    @property
    def is_dense(self) -> bool:
        """Whether every value is stored."""
        return not any(self.sparse)

    def describe(self, rank: int) -> str:
        """Returns "dense", "csr along axis 3", "1x4 blocks", ... of a tensor of `rank` axes."""
        if self.is_dense:
            return "dense"
        if self.blocks:
            return "x".join(str(self.blocks.get(axis, 1)) for axis in range(rank)) + " blocks"
        return "csr along axis " + " and ".join(
            str(a) for a, listed in zip(self.order, self.sparse, strict=True) if listed
        )


@dataclasses.dataclass(frozen=True)
class Level:
    """One level of an encoded tensor: its size, and segments and indices where it is sparse."""

    size: int
    segments: np.ndarray | None = None
    indices: np.ndarray | None = None


def smallest(array: np.ndarray) -> Encoding:
    """Returns the encoding of `array` that takes the fewest bytes; dense, unless another is smaller.

    Example:
        >>> smallest(np.eye(64, dtype="float32")).describe(2)
        'csr along axis 1'
        >>> smallest(np.ones((8, 8), "float32")).describe(2)
        'dense'
    """
    return min(candidates(array), key=lambda encoding: encoding.bytes)


def dense(array: np.ndarray) -> Encoding:
    """Returns the encoding that stores every value."""
    return Encoding(tuple(range(array.ndim)), (False,) * array.ndim, {}, array.nbytes)


def candidates(array: np.ndarray) -> Iterator[Encoding]:
    """Yields the encodings of `array`: dense first, then each axis or the first and last ones sparse, then blocks."""
    yield dense(array)
    axes = tuple(range(array.ndim))
    present = array != 0
    for last in reversed(axes):
        order = (*(axis for axis in axes if axis != last), last)
        counts = _occupied(present.transpose(order))
        for first, leaf in ((False, True), (True, True), (True, False)):
            sparse = (first, *(False,) * (array.ndim - 2), leaf) if array.ndim > 1 else (leaf,)
            shape = tuple(array.shape[axis] for axis in order)
            if any(sparse):
                yield Encoding(order, sparse, {}, _bytes(shape, sparse, counts, array.itemsize))
    for blocks in _block_choices(array.shape):
        yield _blocked(present, blocks, array.itemsize)


def fully_connected_blocks(array: np.ndarray, size: int) -> Encoding | None:
    """Returns the encoding in blocks of 1 x `size` of a [units, inputs] matrix, or None where `size` divides no row.

    TFLite computes with this one as it is; what it has to decode before computing is any other.
    """
    if array.ndim != 2 or array.shape[1] % size:
        return None
    return _blocked(array != 0, {1: size}, array.itemsize)


def encode(array: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, list[Level]]:
    """Returns the stored values, and the levels of the tree.

    Example:
        >>> array = np.array([[0, 5], [0, 0]], "float32")
        >>> values, (rows, columns) = encode(array, Encoding((0, 1), (False, True), {}, 0))
        >>> values.tolist(), rows.size, columns.segments.tolist(), columns.indices.tolist()
        ([5.0], 2, [0, 1, 1], [1])
    """
    array = blocked_view(array, encoding.blocks).transpose(encoding.order)
    nodes, levels = np.zeros(1, np.int64), []
    for depth, (size, listed) in enumerate(zip(array.shape, encoding.sparse, strict=True)):
        if not listed:
            nodes = (nodes[:, None] * size + np.arange(size)).ravel()
            levels.append(Level(size))
            continue
        inner = tuple(range(depth + 1, array.ndim))
        children = np.any(array != 0, axis=inner).reshape(-1, size)[nodes]
        rows, columns = np.nonzero(children)
        segments = np.concatenate([[0], np.cumsum(children.sum(axis=1))])
        levels.append(Level(size, _narrow(segments), _narrow(columns)))
        nodes = nodes[rows] * size + columns
    return array.reshape(-1)[nodes], levels


def blocked_view(array: np.ndarray, blocks: dict[int, int]) -> np.ndarray:
    """Returns the array with each block's inner axis split off, and put behind all others."""
    shape: list[int] = []
    inner = []
    for axis, size in enumerate(array.shape):
        block = blocks.get(axis)
        shape += [size] if block is None else [size // block, block]
        if block is not None:
            inner.append(len(shape) - 1)
    outer = [axis for axis in range(len(shape)) if axis not in inner]
    return array.reshape(shape).transpose(*outer, *inner)


def _block_choices(shape: tuple[int, ...]) -> Iterator[dict[int, int]]:
    """Yields {axis: size}: blocks of outputs (the first axis) by inputs (the last one) that divide the shape."""
    if len(shape) < 2:
        return
    last = len(shape) - 1
    for outputs, inputs in itertools.product((1, *BLOCKS), repeat=2):
        if outputs * inputs > 1 and shape[0] % outputs == 0 and shape[last] % inputs == 0:
            yield {axis: size for axis, size in ((0, outputs), (last, inputs)) if size > 1}


def _blocked(present: np.ndarray, blocks: dict[int, int], itemsize: int) -> Encoding:
    """Returns the encoding whose last axis lists the blocks that are not empty."""
    rank = present.ndim
    view = blocked_view(present, blocks)
    occupied = np.any(view, axis=tuple(range(rank, view.ndim)))
    counts = _occupied(occupied)
    sparse = (*(False,) * (rank - 1), True)
    positions = _bytes(occupied.shape, sparse, counts, 0)
    order = tuple(range(view.ndim))
    return Encoding(
        order,
        (*sparse, *(False,) * len(blocks)),
        blocks,
        positions + counts[-1] * math.prod(blocks.values()) * itemsize,
    )


def _occupied(present: np.ndarray) -> list[int]:
    """Returns, for each depth of the tree, how many of its nodes have a value below them."""
    counts = []
    for depth in range(present.ndim, 0, -1):
        counts.append(int(np.count_nonzero(present)))
        if depth > 1:
            present = np.asarray(present.any(axis=-1))
    return counts[::-1]


def _bytes(shape: tuple[int, ...], sparse: tuple[bool, ...], counts: list[int], itemsize: int) -> int:
    nodes, total = 1, 0
    for size, listed, occupied in zip(shape, sparse, counts, strict=True):
        if listed:
            total += (nodes + 1) * _width(occupied) + occupied * _width(size - 1)
        nodes = occupied if listed else nodes * size
    return total + nodes * itemsize


def _width(largest: int) -> int:
    return next(np.dtype(kind).itemsize for kind in _INDEX_TYPES if largest <= np.iinfo(kind).max)


def _narrow(numbers: np.ndarray) -> np.ndarray:
    """Returns the numbers in the narrowest type that TFLite knows for them."""
    largest = int(numbers.max(initial=0))
    return numbers.astype(next(kind for kind in _INDEX_TYPES if largest <= np.iinfo(kind).max))
