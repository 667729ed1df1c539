"""Layers that hold masks, and the walk over a model's layers and weights."""

from tf_pai.layers.paths import PrunableWeight, participating, prunable_weights, unwrapped, walk, weights_of
from tf_pai.layers.projection import ReadAs, zero_pruned
from tf_pai.layers.prunable import PrunableLayer
from tf_pai.layers.wrapping import prunable_layers, strip, wrap_model

__all__ = [
    "PrunableLayer",
    "PrunableWeight",
    "ReadAs",
    "participating",
    "prunable_layers",
    "prunable_weights",
    "strip",
    "unwrapped",
    "walk",
    "weights_of",
    "wrap_model",
    "zero_pruned",
]
