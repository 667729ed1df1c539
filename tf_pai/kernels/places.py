"""Where kept weights are, in a graph: what an update of a structure in place needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_pai.kernels.library import library
from tf_pai.kernels.structure import layout


def flat_positions(row_ptr: Any, col_idx: Any, cols: int) -> tf.Tensor:
    """Returns the row-major positions of kept weights, int64 [nnz], rising.

    Args:
        row_ptr, col_idx: as in `SparseStructure`.
        cols: columns of the matrix.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: these are not of a structure.

    Example:
        >>> flat_positions([0, 1, 3], [0, 0, 1], 2).numpy().tolist()
        [0, 2, 3]
    """
    return library().tf_pai_flat_positions(row_ptr=row_ptr, col_idx=col_idx, cols=cols)


def structure_arrays(flat: Any, shape: Sequence[int]) -> list[tf.Tensor]:
    """Returns what `from_flat(flat, shape).arrays` has, in a graph.

    Args:
        flat: rising row-major positions, int64 [nnz]; nnz is known to the graph.
        shape: the dense kernel's shape.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: positions that do not rise, or are out of range.

    Example:
        >>> row_ptr, col_idx, *_ = structure_arrays(tf.constant([0, 2, 3], tf.int64), (2, 2))
        >>> row_ptr.numpy().tolist(), col_idx.numpy().tolist()
        ([0, 1, 3], [0, 0, 1])
    """
    rows, cols, panels, index = layout(shape, flat.shape[0])
    return list(library().tf_pai_structure(flat=flat, rows=rows, cols=cols, panels=panels, T=tf.as_dtype(index)))


def put(part: Any, offset: Any, flat: Any, values: Any) -> tf.Tensor:
    """Returns a part of a tensor with other values at those of some positions that lie in it.

    Args:
        part: boolean or float32 tensor.
        offset: the row-major position of its first element, int64.
        flat: rising row-major positions in the whole tensor, int64 vector.
        values: of each, of the part's type.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.

    Example:
        >>> put([0.0, 0.0, 0.0], 4, [1, 5, 9], [7.0, 8.0, 9.0]).numpy().tolist()
        [0.0, 8.0, 0.0]
    """
    return library().tf_pai_put(part=part, offset=offset, flat=flat, values=values)


def add_bits(packed: Any, flat: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (bits, one for each position, with those of some positions set; how many are set in all, int64).

    Args:
        packed: uint8 vector, as `np.packbits` makes it.
        flat: positions, int64 vector.

    Raises:
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: a position is out of range.

    Example:
        >>> packed, count = add_bits(tf.constant([64], tf.uint8), [0, 1])
        >>> packed.numpy().tolist(), int(count)
        ([192], 2)
    """
    return library().tf_pai_add_bits(packed=packed, flat=flat)
