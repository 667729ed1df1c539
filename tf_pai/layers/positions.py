"""Places of kept weights: random ones, checked ones, and values that are carried from some to others."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

SPREADS = ("uniform", "fan_in")


def draw_positions(rows: int, cols: int, density: float, spread: str, seed: int | None = None) -> np.ndarray:
    """Returns random row-major positions in a matrix, int64 [nnz], rising; nothing of the matrix' size is made.

    Args:
        rows: inputs.
        cols: outputs.
        density: fraction that is kept: round(density * rows * cols) weights, one at least.
        spread: "uniform": each weight as likely as any other; "fan_in": each output keeps as many inputs, to one.
        seed: the same seed gives the same positions; None: one of NumPy's global generator.

    Example:
        >>> draw_positions(4, 2, 0.5, "fan_in", seed=0).size
        4
    """
    rng = np.random.default_rng(int(np.random.randint(2**31)) if seed is None else seed)
    count = max(1, round(density * rows * cols))
    if spread == "uniform":
        return _distinct(rng, rows * cols, count)
    each = np.full(cols, count // cols)
    each[rng.permutation(cols)[: count % cols]] += 1
    row_of = np.concatenate([rng.choice(rows, n, replace=False, shuffle=False) for n in each])
    return np.sort(row_of.astype(np.int64) * cols + np.repeat(np.arange(cols), each))


def _distinct(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """`count` distinct integers below `size`, rising, each set as likely as any other."""
    if count > size // 2:
        return np.delete(np.arange(size), _distinct(rng, size, size - count))
    found = np.zeros(0, np.int64)
    while found.size < count:
        found = np.union1d(found, rng.integers(size, size=count - found.size + count // 50 + 8))
    return np.delete(found, rng.permutation(found.size)[: found.size - count])


def initializer_of_kept(initializer: Any, fans: tuple[int, int], density: float, nnz: int) -> Any:
    """Returns an initializer of the vector of kept values that acts as `initializer` does on a dense kernel.

    One that scales by fans scales by the mean number of kept weights of an input or output.

    Args:
        initializer: the layer's own.
        fans: inputs of a unit and outputs of an input, of the dense kernel.
        density: fraction of these that is kept.
        nnz: number of kept weights.
    """
    initializer = keras.initializers.get(initializer)
    if not isinstance(initializer, keras.initializers.VarianceScaling) or not nnz:
        return initializer
    inputs, outputs = fans
    fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[initializer.mode]
    return keras.initializers.VarianceScaling(  # a vector's fans are its length
        scale=initializer.scale * nnz / max(fan * density, 1.0),
        mode="fan_in",
        distribution=initializer.distribution,
        seed=initializer.seed,
    )


def carried_over(values: np.ndarray, old: np.ndarray, new: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Returns the values at new positions: those of places that stay, and `fill` elsewhere.

    Args:
        values: [nnz] at the old positions.
        old: rising positions.
        new: rising positions.
        fill: of places that are new.

    Example:
        >>> carried_over(np.array([1.0, 2.0]), np.array([3, 5]), np.array([4, 5, 9])).tolist()
        [0.0, 2.0, 0.0]
    """
    result = np.full(new.shape, fill, values.dtype)
    if old.size:
        place = np.minimum(np.searchsorted(old, new), old.size - 1)
        stays = old[place] == new
        result[stays] = values[place[stays]]
    return result


def checked_positions(
    row_ptr: np.ndarray, col_idx: np.ndarray, shape: tuple[int, int], nnz: int, name: str
) -> np.ndarray:
    """Returns the row-major positions of a matrix in compressed rows, int64 [nnz], rising.

    Args:
        row_ptr: [rows + 1]: where each row begins.
        col_idx: [nnz]: columns, rising within a row.
        shape: rows and columns.
        nnz: number of kept weights.
        name: what the matrix is called in messages.

    Raises:
        ValueError: the arrays are not those of such a matrix.
    """
    rows, cols = shape
    pointers, columns = np.asarray(row_ptr).astype(np.int64), np.asarray(col_idx).astype(np.int64)
    fits = pointers.shape == (rows + 1,) and columns.shape == (nnz,) and pointers[0] == 0 and pointers[-1] == nnz
    if not fits or np.any(np.diff(pointers) < 0):
        raise ValueError(f"The row pointers of {name} rise from 0 to {nnz}, {rows + 1} of them. Received: others.")
    if columns.size and (columns.min() < 0 or columns.max() >= cols):
        raise ValueError(f"The columns of {name} lie in [0, {cols}). Received: {columns.min()} to {columns.max()}.")
    flat = np.repeat(np.arange(rows, dtype=np.int64), np.diff(pointers)) * cols + columns
    if np.any(np.diff(flat) <= 0):
        raise ValueError(f"The columns of {name} rise within each row. Received: others.")
    return flat
