"""What a pruned network costs, which of its units still carry a signal, and how its gradient flows."""

from tf_pai.analysis.connectivity import Connectivity, connectivity
from tf_pai.analysis.flops import LayerFlops, ModelFlops, count_flops, training_flops
from tf_pai.analysis.gradient_flow import gradient_flow
from tf_pai.analysis.size import stored_bytes

__all__ = [
    "Connectivity",
    "LayerFlops",
    "ModelFlops",
    "connectivity",
    "count_flops",
    "gradient_flow",
    "stored_bytes",
    "training_flops",
]
