"""How a pruned model computes: with masked dense weights, or with the kept weights only."""

from tf_pai.compute.converting import COMPUTE, check_compute, to_dense, to_sparse

__all__ = ["COMPUTE", "check_compute", "to_dense", "to_sparse"]
