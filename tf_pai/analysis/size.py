"""Bytes that a model's weights take, with one bit per weight for the masks."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.analysis.work import size_of
from tf_pai.layers import kept_counts, weight_shapes, weights_of


def stored_bytes(model: keras.Model, densities: dict[str, float] | None = None) -> tuple[float, float]:
    """Returns the bytes of all weights (dense, sparse): kept values, and one bit per weight of a tensor with zeros.

    Args:
        model: a built model, pruned or not.
        densities: {weight path: fraction kept} to count with in place of the model's masks; others count as dense.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="fc")])
        >>> stored_bytes(model, {"fc/kernel": 0.25})  # 40 floats; 8 + 8 floats and 32 bits
        (160, 68.0)

    Reference: Evci et al. 2020, "Rigging the lottery", the counting code of its authors.
    """
    if densities is None:
        densities = {path: kept / size for path, (kept, size) in kept_counts(model).items()}
    dense, sparse = 0, 0.0
    shapes = weight_shapes(model)
    for path, variable in weights_of(model).items():
        size, width = size_of(shapes[path]), keras.backend.standardize_dtype(variable.dtype)
        bytes_each = np.dtype("uint16" if width == "bfloat16" else width).itemsize
        density = densities.get(path, 1.0)
        dense += size * bytes_each
        sparse += size * bytes_each * density + (size / 8 if density < 1 else 0)
    return dense, sparse
