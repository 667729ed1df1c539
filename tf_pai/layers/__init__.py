"""Layers that hold masks, and the walk over a model's layers and weights."""

from tf_pai.layers.choosing import is_selected, participating
from tf_pai.layers.held import DenseMask, HeldMask, SparseMask, held_masks, kept_counts, weight_shapes
from tf_pai.layers.normalizing import FusedBatchNormalization
from tf_pai.layers.paths import PrunableWeight, prunable_weights, unwrapped, walk, weights_of
from tf_pai.layers.projection import ReadAs, zero_pruned
from tf_pai.layers.prunable import PrunableLayer
from tf_pai.layers.sparse import SparseKernel
from tf_pai.layers.sparse_attention import SparseMultiHeadAttention
from tf_pai.layers.sparse_layers import SparseConv2D, SparseDense, SparseEinsumDense
from tf_pai.layers.stripping import strip
from tf_pai.layers.wrapping import prunable_layers, replace_layers, sparse_layers, wrap_model

__all__ = [
    "DenseMask",
    "FusedBatchNormalization",
    "HeldMask",
    "PrunableLayer",
    "PrunableWeight",
    "ReadAs",
    "SparseConv2D",
    "SparseDense",
    "SparseEinsumDense",
    "SparseKernel",
    "SparseMask",
    "SparseMultiHeadAttention",
    "held_masks",
    "is_selected",
    "kept_counts",
    "participating",
    "prunable_layers",
    "prunable_weights",
    "replace_layers",
    "sparse_layers",
    "strip",
    "unwrapped",
    "walk",
    "weight_shapes",
    "weights_of",
    "wrap_model",
    "zero_pruned",
]
