"""The gradients of the native ops, registered when the library is loaded."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.kernels import library


def _sparse_gradient(grad_op: str, op: Any, dy: tf.Tensor, **attributes: Any) -> list[tf.Tensor | None]:
    """The gradients by x, values and bias; the five structure arrays have none."""
    x, values, _, _, _, _, row_ptr, col_idx = op.inputs
    relu, use_bias = op.get_attr("relu"), op.get_attr("use_bias")
    y = op.outputs[0] if relu else tf.zeros([0])
    dx, dvalues, dbias = getattr(library.library(), grad_op)(
        x=x, dy=dy, y=y, values=values, row_ptr=row_ptr, col_idx=col_idx, relu=relu, use_bias=use_bias, **attributes
    )
    return [dx, dvalues, dbias if use_bias else None, None, None, None, None, None]


@tf.RegisterGradient("TfPaiSparseMatmul")
def _matmul_gradient(op: Any, dy: tf.Tensor) -> list[tf.Tensor | None]:
    return _sparse_gradient("tf_pai_sparse_matmul_grad", op, dy)


@tf.RegisterGradient("TfPaiSparseConv2D")
def _conv_gradient(op: Any, dy: tf.Tensor) -> list[tf.Tensor | None]:
    padding = op.get_attr("padding")
    return _sparse_gradient(
        "tf_pai_sparse_conv2d_grad",
        op,
        dy,
        kernel_size=op.get_attr("kernel_size"),
        strides=op.get_attr("strides"),
        padding=padding.decode() if isinstance(padding, bytes) else padding,
    )


@tf.RegisterGradient("TfPaiSparseMatmulGrad")
@tf.RegisterGradient("TfPaiSparseConv2DGrad")
def _no_second_order(op: Any, *_: Any) -> None:
    raise NotImplementedError(
        "The sparse kernels have no second-order gradient, and none in forward mode. Compute it on the dense weights: "
        "score before the model is converted, or convert it back with to_dense."
    )


for _name in ("HighestNear", "Largest", "CountNonzero", "AllFinite", "FlatPositions", "Structure", "Put", "AddBits"):
    tf.no_gradient(f"TfPai{_name}")
