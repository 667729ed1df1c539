"""Which layers can compute with their kept weights only, and what they become."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.layers import (
    FusedBatchNormalization,
    PrunableLayer,
    SparseConv2D,
    SparseDense,
    SparseEinsumDense,
    SparseKernel,
    SparseMultiHeadAttention,
)
from tf_pai.layers.options import whole_kernel_option
from tf_pai.layers.sparse_attention import projections
from tf_pai.layers.sparse_layers import is_matrix_product, plain_convolution

_SPARSE: tuple[type[SparseKernel], ...] = (SparseDense, SparseConv2D, SparseEinsumDense)
FORMS = {form.stands_for: form for form in _SPARSE}
Attention = keras.layers.MultiHeadAttention


def why_not(layer: Any) -> str | None:
    """Returns why a layer cannot compute with its kept weights only, or None where it can.

    Args:
        layer: any layer, or operation of a graph.
    """
    if type(layer) is not PrunableLayer or not layer.pairs:
        return "it has no mask, or one that is being learned or updated"
    inner = layer.layer
    if type(inner) not in (*FORMS, Attention):
        return f"there is no sparse form of {type(inner).__name__}"
    parts = {id(part._kernel): part for part in _parts(inner).values()}
    if not {id(weight) for weight, _ in layer.pairs.values()} <= set(parts):
        return "its bias has a mask too"
    if any(getattr(p, "quantization_mode", None) or getattr(p, "lora_enabled", False) for p in parts.values()):
        return "it is quantized, or has LoRA"
    if not layer.mask_gradients:
        return "its gradient is not masked"
    reasons = (_why_not_kernel(parts[id(weight)], mask) for weight, mask in layer.pairs.values())
    return next((reason for reason in reasons if reason is not None), None)


def _parts(inner: Any) -> dict[str, Any]:
    """{name: layer} of the layers with a kernel: an attention's projections, or the layer itself."""
    return projections(inner) if isinstance(inner, Attention) else {"": inner}


def _why_not_kernel(inner: Any, mask: keras.Variable) -> str | None:
    if isinstance(inner, keras.layers.Conv2D) and not plain_convolution(inner):
        return "it has groups, dilation or channels first"
    if isinstance(inner, keras.layers.EinsumDense) and not is_matrix_product(inner.equation):
        return "its equation is no matrix product"
    option = whole_kernel_option(inner)
    if option is not None:
        return f"its {option} needs the whole kernel"
    if inner._kernel.dtype != "float32":
        return f"its weights are {inner._kernel.dtype}"
    if not np.any(mask.numpy()):
        return "it keeps no weight"
    return None


def sparse_form(layer: PrunableLayer) -> SparseKernel | SparseMultiHeadAttention:
    """Returns the sparse form, with its weights, of a PrunableLayer that qualifies."""
    kept = {id(weight): np.flatnonzero(mask.numpy()) for weight, mask in layer.pairs.values()}
    parts = _parts(layer.layer)
    flat = {name: kept[id(part._kernel)] for name, part in parts.items() if id(part._kernel) in kept}
    if isinstance(layer.layer, Attention):
        sparse = SparseMultiHeadAttention.from_dense(layer.layer, flat)
    else:
        sparse = FORMS[type(layer.layer)].from_dense(layer.layer, flat[""])
    sparse.mask_structure = layer.mask_structure
    return sparse


def fused_form(layer: Any) -> FusedBatchNormalization | None:
    """Returns the form of Keras' BatchNormalization that is trained by the fused op, or None for any other layer."""
    if type(layer) is not keras.layers.BatchNormalization or layer.renorm or layer.synchronized:
        return None
    return FusedBatchNormalization.from_dense(layer)
