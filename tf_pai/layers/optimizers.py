"""The optimizers that do the work behind the one a model is compiled with."""

from __future__ import annotations

from typing import Any

import keras


def optimizers_of(optimizer: Any) -> list[Any]:
    """Returns the optimizers that do the work: behind loss scaling, and of each group of weights.

    Args:
        optimizer: any Keras optimizer, or None.

    Example:
        >>> [type(o).__name__ for o in optimizers_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()))]
        ['SGD']
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    children = [inner] if inner is not None else list(getattr(optimizer, "optimizers", []))
    if not children:
        return [] if optimizer is None else [optimizer]
    return [leaf for child in children for leaf in optimizers_of(child)]


def parallel_slots(optimizer: Any, weight: Any) -> list[Any]:
    """Returns the variables of the weight's shape that an optimizer holds for it in lists that run parallel to its own.

    Args:
        optimizer: any Keras optimizer, or None.
        weight: a weight.
    """
    found = []
    for leaf in optimizers_of(optimizer):
        known = leaf._trainable_variables if leaf.built else []
        places = [i for i, other in enumerate(known) if other is weight]
        for slots in list(vars(leaf).values()):
            if isinstance(slots, list) and len(slots) == len(known) and slots is not known:
                found += [slots[i] for i in places if getattr(slots[i], "shape", None) == weight.shape]
    return found


def averages_of(optimizer: Any, variable: Any) -> list[keras.Variable]:
    """Returns the moving averages of a weight that an optimizer with `use_ema` holds.

    Args:
        optimizer: any built Keras optimizer, or None.
        variable: a weight.
    """
    return [
        leaf._model_variables_moving_average[leaf._get_variable_index(variable)]
        for leaf in optimizers_of(optimizer)
        if leaf.use_ema and leaf.built and leaf._var_key(variable) in leaf._trainable_variables_indices
    ]
