"""Other weights under a ticket's masks, and other masks over its weights."""

from __future__ import annotations

import zlib

import keras
import numpy as np

from tf_pai.layers import prunable_weights
from tf_pai.layers.initializing import initial_value
from tf_pai.masks import Masks
from tf_pai.tickets.bench import Values


def reinitialized(model: keras.Model, values: Values, masks: Masks, seed: int) -> Values:
    """Returns the values, with new ones drawn for all weights that have a mask.

    Args:
        model: the network, whose layers say how they are drawn.
        values: {path: value}.
        masks: {path: mask}.
        seed: the same seed gives the same values.
    """
    new = dict(values)
    for place, (path, weight) in enumerate(prunable_weights(model).items()):
        if path in masks:
            new[path] = initial_value(weight, seed=zlib.crc32(f"{seed} {place}".encode()))
    return new


def shuffled(masks: Masks, seed: int) -> Masks:
    """Returns each mask with its entries in another order; it keeps as many.

    Raises:
        ValueError: the masks are those of whole filters, which single entries do not make.
    """
    if any(mask.ndim < 2 for mask in masks.values()):
        raise ValueError(
            "Masks of single weights are shuffled. Received: masks of whole filters, with those of their biases. "
            "Leave the check out."
        )
    generator = np.random.default_rng(seed)
    return {path: generator.permutation(mask.ravel()).reshape(mask.shape) for path, mask in masks.items()}
