"""The dense gradient of a sparse kernel, a tile of rows at a time: what RigL grows by, never a whole layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.kernels.structure import SparseStructure
from tf_pai.topk import keep_highest


def dense_gradient(x: Any, dy: Any, begin: Any, rows: int) -> tf.Tensor:
    """Returns some rows of x^T dy, the gradient by all weights of a matrix, kept or not.

    Args:
        x: float [..., inputs].
        dy: float [..., outputs], the gradient by the product.
        begin: the first of the rows, of `inputs`; a number or a tensor.
        rows: how many.

    Returns:
        float [rows, outputs].

    Example:
        >>> dense_gradient([[1.0, 2.0]], [[3.0]], 1, 1).numpy().tolist()
        [[6.0]]
    """
    x, dy = tf.convert_to_tensor(x), tf.convert_to_tensor(dy)
    part = tf.reshape(x[..., begin : begin + rows], [-1, rows])
    return tf.matmul(part, tf.reshape(dy, [-1, dy.shape[-1]]), transpose_a=True)


def largest_gradients(x: Any, dy: Any, structure: SparseStructure, count: int, tile_rows: int = 512) -> np.ndarray:
    """Returns where the `count` largest |x^T dy| outside the structure are, as rising row-major positions.

    The memory is that of one tile and of `count` positions. Where a tile's threshold lies, a sample of it tells. Ties
    keep the lower position.

    Args:
        x, dy: as in `dense_gradient`.
        structure: of a kernel [inputs, outputs].
        count: at most the number of pruned weights.
        tile_rows: rows whose gradient is held at once.

    Raises:
        ValueError: more are asked for than are pruned.

    Example:
        >>> from tf_pai.kernels import from_flat
        >>> largest_gradients([[1.0, 2.0]], [[3.0, -4.0]], from_flat([3], (2, 2)), 2).tolist()
        [1, 2]
    """
    pruned = structure.rows * structure.cols - structure.nnz
    if not 0 <= count <= pruned:
        raise ValueError(f"Between 0 and {pruned} weights can grow. Received: count={count}")
    pointers, columns = np.asarray(structure.row_ptr), np.asarray(structure.col_idx)
    size, place = np.zeros(0, np.float32), np.zeros(0, np.int64)
    for begin in range(0, structure.rows, tile_rows):
        end = min(begin + tile_rows, structure.rows)
        tile = np.abs(dense_gradient(x, dy, begin, end - begin).numpy())
        kept_rows = np.repeat(np.arange(end - begin), np.diff(pointers[begin : end + 1]))
        tile[kept_rows, columns[pointers[begin] : pointers[end]]] = -1.0  # below any size
        threshold = size.min() if 0 < count <= size.size else -0.5
        found = np.flatnonzero(tile > threshold)
        size = np.concatenate([size, tile.reshape(-1)[found]])
        place = np.concatenate([place, found + begin * structure.cols])
        if size.size > count:
            (chosen,) = keep_highest([size], count)
            size, place = size[chosen], place[chosen]
    return place
