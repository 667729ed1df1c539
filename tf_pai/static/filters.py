"""What follows a pruned filter: its bias, and the scale and shift of the BatchNorm behind it."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.layers import PrunableWeight, weights_of
from tf_pai.layers.graph import batch_norms_after

Masks = dict[str, np.ndarray]


def with_companions(model: keras.Model, weights: dict[str, PrunableWeight], masks: Masks) -> Masks:
    """Returns the masks, and those of the vectors that would let a pruned filter's output be other than zero.

    A filter's output stays exactly zero, also at the border of a padded map, only if its bias and the BatchNorm's
    beta are zero too. In a subclassed model, whose graph is not known, BatchNorms are left alone.

    Args:
        model: the model.
        weights: {path: PrunableWeight} of the kernels.
        masks: {path: mask} of the kernels, whole filters.
    """
    paths = {id(variable): path for path, variable in weights_of(model).items()}
    found = dict(masks)
    for path, mask in masks.items():
        weight = weights[path]
        channels = np.moveaxis(mask, weight.output_axis, -1).reshape(-1, weight.shape[weight.output_axis])
        kept = np.asarray(channels.any(axis=0))
        vectors = [getattr(weight.owner, "bias", None)]
        for norm in batch_norms_after(model, weight.owner):
            vectors += [norm.gamma, norm.beta]
        for vector in vectors:
            if vector is not None and tuple(vector.shape) == kept.shape:
                found[paths[id(vector)]] = kept
    return found
