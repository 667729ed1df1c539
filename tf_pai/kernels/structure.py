"""Where the kept weights of a matrix are, in the two orders that the kernels read."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_SHORT = 1 << 16  # rows and columns below this are held as uint16
# The forward pass takes the rows in panels of this many, whose part of x and whose values stay in the cache; in fewer
# panels where a column would have less than this many weights in one: pointers never outnumber weights or columns.
_PANEL_ROWS = 512
_PANEL_WEIGHTS = 8


@dataclasses.dataclass(frozen=True)
class SparseStructure:
    """The positions of the kept weights of one dense kernel; their values are a vector in row-major order.

    The kernel [..., outputs] is a matrix of `rows` x `cols` (a convolution's [height, width, in, out] is
    [height * width * in, out]). The arrays are NumPy arrays, or tensors or variables made of them with `map`, so that
    a structure can change in place: the number of kept weights stays, and the values keep their order.

    Attributes:
        shape: the dense kernel's shape.
        row_ptr: int32 [rows + 1]: values row_ptr[i] to row_ptr[i + 1] are in row i.
        col_idx: uint16 or int32 [nnz]: their columns, rising within a row.
        col_ptr: int32 [panels * cols + 1]: the same by columns, in each panel of about 512 rows.
        row_idx: uint16 or int32 [nnz]: the rows, panel by panel and column by column, rising within a column.
        perm: int32 [nnz]: which value each entry of `row_idx` has.

    Example:
        >>> structure = from_mask(np.array([[True, False], [True, True]]))
        >>> structure.row_ptr.tolist(), structure.col_idx.tolist()
        ([0, 1, 3], [0, 0, 1])
        >>> structure.col_ptr.tolist(), structure.row_idx.tolist(), structure.perm.tolist()
        ([0, 2, 3], [0, 1, 1], [0, 1, 2])
    """

    shape: tuple[int, ...]
    row_ptr: Any
    col_idx: Any
    col_ptr: Any
    row_idx: Any
    perm: Any

    @property
    def rows(self) -> int:
        """Rows of the matrix: the product of all axes but the last."""
        return int(np.prod(self.shape[:-1], dtype=np.int64))

    @property
    def cols(self) -> int:
        """Columns of the matrix: the last axis."""
        return self.shape[-1]

    @property
    def panels(self) -> int:
        """How many panels of rows the column order has; a matter of shape and nnz alone."""
        return _panel_count(self.rows, self.cols, self.nnz)

    @property
    def nnz(self) -> int:
        """How many weights are kept."""
        return int(self.perm.shape[0])

    @property
    def arrays(self) -> dict[str, Any]:
        """{name: array} of the five arrays."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[1:]}

    def map(self, function: Callable[[Any], Any]) -> SparseStructure:
        """Returns the structure with `function` of each array, such as `tf.constant` or `np.asarray`."""
        return dataclasses.replace(self, **{name: function(array) for name, array in self.arrays.items()})

    def flat(self) -> np.ndarray:
        """Returns the row-major positions in the dense kernel, int64 [nnz], rising."""
        pointers = np.asarray(self.row_ptr, np.int64)
        rows = np.repeat(np.arange(self.rows, dtype=np.int64), np.diff(pointers))
        return rows * self.cols + np.asarray(self.col_idx)

    def coordinates(self) -> np.ndarray:
        """Returns the positions as int64 [nnz, rank]."""
        return np.stack(np.unravel_index(self.flat(), self.shape), axis=-1)

    def mask(self) -> np.ndarray:
        """Returns the boolean mask of the dense kernel's shape, True = kept."""
        mask = np.zeros(self.shape, bool)
        mask.flat[self.flat()] = True
        return mask

    def gather(self, kernel: Any) -> np.ndarray:
        """Returns the kept values of a dense `kernel` of this shape, [nnz]."""
        kernel = np.asarray(kernel)
        if kernel.shape != self.shape:
            raise ValueError(f"The kernel must have the structure's shape {self.shape}. Received: {kernel.shape}")
        return kernel.reshape(-1)[self.flat()]

    def scatter(self, values: Any) -> np.ndarray:
        """Returns the dense kernel with `values` [nnz] at the kept positions and zeros elsewhere."""
        values = np.asarray(values)
        if values.shape != (self.nnz,):
            raise ValueError(f"There must be one value for each kept weight, ({self.nnz},). Received: {values.shape}")
        kernel = np.zeros(self.shape, values.dtype)
        kernel.flat[self.flat()] = values
        return kernel


def from_flat(flat: Any, shape: Sequence[int]) -> SparseStructure:
    """Returns the structure of kept row-major positions; no array is larger than the number of kept weights.

    Args:
        flat: integers [nnz] in [0, size of the kernel), in any order, none twice. Values are in rising order.
        shape: the dense kernel's shape, two axes or more.

    Raises:
        ValueError: a position is out of range or there twice, or the kernel is too large for 32-bit indices.

    Example:
        >>> from_flat([3, 0], (2, 2)).mask().tolist()
        [[True, False], [False, True]]
    """
    shape = tuple(int(length) for length in shape)
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"A kernel has two axes or more. Received: shape={shape}")
    flat = np.asarray(flat)
    rows, cols, _, index = layout(shape, flat.size)
    flat = _checked(flat, rows, cols)
    row_of = (flat // max(cols, 1)).astype(index)  # one after the other: of divmod's 64-bit results, two would exist
    col_of = (flat % max(cols, 1)).astype(index)
    row_ptr = _pointers(np.bincount(row_of, minlength=rows))
    col_ptr, perm = _by_columns(row_ptr, col_of, cols)
    return SparseStructure(shape, row_ptr, col_of, col_ptr, row_of[perm], perm)


def layout(shape: Sequence[int], nnz: int) -> tuple[int, int, int, type]:
    """Returns (rows, columns and panels, type of the indices) of the structure of `nnz` weights of a dense kernel."""
    rows, cols = int(np.prod(shape[:-1], dtype=np.int64)), int(shape[-1])
    return rows, cols, _panel_count(rows, cols, nnz), np.uint16 if max(rows, cols) <= _SHORT else np.int32


def from_mask(mask: Any) -> SparseStructure:
    """Returns the structure of a boolean mask of the dense kernel's shape, True = kept."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"A mask is boolean, True = kept. Received: {mask.dtype}")
    return from_flat(np.flatnonzero(mask), mask.shape)


def from_coordinates(coordinates: Any, shape: Sequence[int]) -> SparseStructure:
    """Returns the structure of kept positions [nnz, rank], as `get_masks(form="coo")` gives them; never dense."""
    coordinates = np.asarray(coordinates)
    if coordinates.ndim != 2 or coordinates.shape[1] != len(shape):
        raise ValueError(f"Coordinates are [nnz, {len(shape)}] for shape {tuple(shape)}. Received: {coordinates.shape}")
    if coordinates.size and (coordinates.min() < 0 or np.any(coordinates.max(axis=0) >= np.asarray(shape))):
        raise ValueError(f"Coordinates must be inside the shape {tuple(shape)}. Received: {coordinates.max(axis=0)}")
    return from_flat(np.ravel_multi_index(tuple(coordinates.T), tuple(shape)), shape)


def _checked(flat: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Returns the positions sorted, as int64."""
    if flat.ndim != 1 or (flat.size and not np.issubdtype(flat.dtype, np.integer)):
        raise ValueError(f"Positions are a vector of integers. Received: {flat.dtype} {flat.shape}")
    if max(rows + 1, cols + 1, flat.size) > np.iinfo(np.int32).max:
        raise ValueError(f"Rows, columns and kept weights must fit 32 bits. Received: {rows}, {cols}, {flat.size}")
    flat = flat.astype(np.int64, copy=False)
    if not np.all(flat[1:] >= flat[:-1]):
        flat = np.sort(flat)
    if flat.size and (flat[0] < 0 or flat[-1] >= rows * cols):
        raise ValueError(f"Positions must be in [0, {rows * cols}). Received: {flat[0]} to {flat[-1]}")
    if np.any(flat[1:] == flat[:-1]):
        raise ValueError(f"A position must be there once. Received twice: {flat[1:][flat[1:] == flat[:-1]][0]}")
    return flat


def _panel_count(rows: int, cols: int, nnz: int) -> int:
    return max(1, min(-(-rows // _PANEL_ROWS), nnz // (_PANEL_WEIGHTS * max(cols, 1))))


def _by_columns(row_ptr: np.ndarray, col_of: np.ndarray, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """The pointers of the column order, and for each of its entries the place in the row order."""
    rows = len(row_ptr) - 1
    panels = _panel_count(rows, cols, len(col_of))
    edges = row_ptr[[rows * panel // panels for panel in range(panels + 1)]]
    perm, counts = np.empty(len(col_of), np.int32), []
    for begin, end in itertools.pairwise(edges):
        panel = col_of[begin:end]
        perm[begin:end] = np.argsort(panel, kind="stable")  # a radix sort for uint16
        perm[begin:end] += begin
        counts.append(np.bincount(panel, minlength=cols))
    return _pointers(np.concatenate(counts)), perm


def _pointers(counts: np.ndarray) -> np.ndarray:
    """Where each row (column) starts, and the end of the last: int32."""
    pointers = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=pointers[1:])
    return pointers
