"""What layers measure from the data as they train, and never train."""

from __future__ import annotations

import keras

from tf_pai.layers.paths import owned_weights


def moving_statistics(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the weights under `layer` that were never there to be trained, as BatchNormalization's moving mean.

    Weights of a layer with `trainable = False` are none of them.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
        >>> model.trainable = False
        >>> [variable.name for variable in moving_statistics(model)]
        ['moving_mean', 'moving_variance']
    """
    return [
        variable
        for _, owner, variable in owned_weights(layer)
        if any(variable is other for other in owner._non_trainable_variables)
    ]
