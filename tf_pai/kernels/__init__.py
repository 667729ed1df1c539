"""Native kernels that compute with the kept weights of unstructured-sparse Dense and Conv2D layers, on CPU.

They stand alone: of tf_pai, they need `topk` only. `python -m tf_pai.kernels build|info|test`.
"""

from tf_pai.kernels.counting import all_finite, count_nonzero
from tf_pai.kernels.growth import dense_gradient, largest_gradients
from tf_pai.kernels.library import available, built, reason
from tf_pai.kernels.masking import zero_pruned
from tf_pai.kernels.norm import batch_norm
from tf_pai.kernels.ops import sparse_conv2d, sparse_matmul
from tf_pai.kernels.places import add_bits, flat_positions, put, structure_arrays
from tf_pai.kernels.structure import SparseStructure, from_coordinates, from_flat, from_mask
from tf_pai.kernels.threshold import highest_near, largest

__all__ = [
    "SparseStructure",
    "add_bits",
    "all_finite",
    "available",
    "batch_norm",
    "built",
    "count_nonzero",
    "dense_gradient",
    "flat_positions",
    "from_coordinates",
    "from_flat",
    "from_mask",
    "highest_near",
    "largest",
    "largest_gradients",
    "put",
    "reason",
    "sparse_conv2d",
    "sparse_matmul",
    "structure_arrays",
    "zero_pruned",
]
