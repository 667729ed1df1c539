"""Options of a layer that act on single weights, and those that need the whole kernel, which a sparse layer has not."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

# What these draw for one weight depends on the others.
_INITIALIZERS = (keras.initializers.Orthogonal, keras.initializers.Identity, keras.initializers.STFT)
_REGULARIZERS = (type(None), keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)  # of single weights
_CONSTRAINTS = (type(None), keras.constraints.NonNeg)  # of single weights


def whole_kernel_option(layer: Any) -> str | None:
    """Returns "initializer", "regularizer" or "constraint", one that needs the layer's whole kernel, or None.

    Args:
        layer: a Keras layer with a kernel.

    Example:
        >>> whole_kernel_option(keras.layers.Dense(2, kernel_constraint="unit_norm"))
        'constraint'
    """
    initializer = layer.kernel_initializer
    if isinstance(initializer, _INITIALIZERS) or np.ndim(getattr(initializer, "value", 0)):  # a Constant of an array
        return "initializer"
    if type(layer.kernel_regularizer) not in _REGULARIZERS:
        return "regularizer"
    return None if type(layer.kernel_constraint) in _CONSTRAINTS else "constraint"


def refuse_whole_kernel_options(layer: Any) -> None:
    """Raises ValueError where a sparse layer has an option that needs the whole kernel."""
    option = whole_kernel_option(layer)
    if option is not None:
        value = getattr(layer, f"kernel_{option}")
        raise ValueError(
            f"{type(layer).__name__} holds its kept weights only. Received: kernel_{option}="
            f"{getattr(value, '__name__', type(value).__name__)}, which needs the whole matrix. Choose one of single "
            'weights, such as the initializer "he_normal", the regularizer "l2" or the constraint "non_neg".'
        )
