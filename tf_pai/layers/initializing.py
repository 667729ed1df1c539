"""New initial values for a weight, from the initializer that its layer has."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.layers.paths import PrunableWeight

# Keras names the initializer after the variable, but for these.
_OTHER_NAMES = {
    "recurrent_kernel": "recurrent_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
}


def initializer_of(owner: keras.Layer, name: str) -> keras.Initializer | None:
    """Returns the initializer that `owner` has for its variable called `name`, or None where it does not say."""
    if isinstance(owner, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)) and name == "kernel":
        name = "depthwise_kernel"
    found = getattr(owner, _OTHER_NAMES.get(name, f"{name}_initializer"), None)
    return found if isinstance(found, keras.Initializer) else None


def initial_value(weight: PrunableWeight, seed: int) -> np.ndarray:
    """Returns a value for `weight` as its layer would draw it, with another seed.

    A weight whose layer does not say how it was drawn gets its current values, in another order.

    Args:
        weight: the weight; it keeps its own value.
        seed: the same seed gives the same value.

    Example:
        >>> import tf_pai
        >>> from tf_pai.layers import prunable_weights
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="ones", name="fc")])
        >>> initial_value(prunable_weights(model)["fc/kernel"], seed=0).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    initializer = initializer_of(weight.owner, weight.variable.name)
    if initializer is None:
        values = weight.variable.numpy()
        return np.random.default_rng(seed).permutation(values.ravel()).reshape(values.shape)
    config = initializer.get_config()
    if "seed" in config:
        initializer = type(initializer).from_config({**config, "seed": seed})
    return np.asarray(initializer(weight.shape, dtype="float32"))
