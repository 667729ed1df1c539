"""Products and convolutions that compute with the kept weights only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_pai.kernels.library import library
from tf_pai.kernels.structure import SparseStructure


def sparse_matmul(x: Any, values: Any, structure: SparseStructure, bias: Any = None, relu: bool = False) -> tf.Tensor:
    """y = act(x @ w + bias), where w has `values` at the kept positions and zeros elsewhere.

    Has a gradient by x, values and bias; none of second order. On CPU, in float32, eagerly and inside `tf.function`,
    not under XLA. The result is bitwise repeatable for a fixed number of threads.

    Args:
        x: float32 [..., inputs].
        values: float32 [nnz], the kept weights in row-major order of the kernel.
        structure: of a kernel [inputs, outputs], or of more axes whose product but the last is `inputs`.
        bias: float32 [outputs], or None.
        relu: whether act is max(., 0), fused, or the identity.

    Returns:
        float32 [..., outputs].

    Raises:
        TypeError: an argument is not float32.
        ValueError: the shapes do not fit.
        RuntimeError: the kernels are not available here; see `available`.
        tf.errors.InvalidArgumentError: the structure's arrays are not those of a structure.

    Example:
        >>> import numpy as np
        >>> from tf_pai import kernels
        >>> structure = kernels.from_mask(np.array([[True, False], [False, True]]))
        >>> kernels.sparse_matmul([[1.0, 2.0]], [3.0, 4.0], structure).numpy().tolist()
        [[3.0, 8.0]]
    """
    x, values, bias = _float32("x", x), _float32("values", values), _bias(bias, structure)
    _check_length("The last axis of x", x.shape[-1], structure.rows)
    return library().tf_pai_sparse_matmul(
        x=x,
        values=values,
        bias=bias,
        relu=relu,
        use_bias=bias.shape[0] != 0,
        panels=structure.panels,
        **structure.arrays,
    )


def sparse_conv2d(
    x: Any,
    values: Any,
    structure: SparseStructure,
    strides: int | Sequence[int] = 1,
    padding: str = "SAME",
    bias: Any = None,
    relu: bool = False,
) -> tf.Tensor:
    """y = act(conv2d(x, w) + bias), where w has `values` at the kept positions and zeros elsewhere.

    As `sparse_matmul`; a 1x1 kernel at stride 1 is one.

    Args:
        x: float32 [batch, height, width, in], NHWC.
        values: float32 [nnz], the kept weights in row-major order of the kernel.
        structure: of a kernel [kernel height, kernel width, in, out].
        strides: one positive integer, or two: along the height and the width.
        padding: "SAME" or "VALID", as in `tf.nn.conv2d`.
        bias: float32 [out], or None.
        relu: whether act is max(., 0), fused, or the identity.

    Returns:
        float32 [batch, out height, out width, out].

    Raises:
        TypeError, ValueError, RuntimeError, tf.errors.InvalidArgumentError: as `sparse_matmul`.

    Example:
        >>> import numpy as np
        >>> from tf_pai import kernels
        >>> structure = kernels.from_mask(np.ones((2, 2, 1, 1), bool))
        >>> x = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
        >>> kernels.sparse_conv2d(x, [1.0] * 4, structure, padding="VALID").numpy().ravel().tolist()
        [8.0, 12.0, 20.0, 24.0]
    """
    strides = _checked_strides(strides)
    padding = padding.upper()
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding is 'SAME' or 'VALID'. Received: {padding!r}")
    if len(structure.shape) != 4:
        raise ValueError(f"A convolution's kernel is [height, width, in, out]. Received: shape={structure.shape}")
    x, values, bias = _float32("x", x), _float32("values", values), _bias(bias, structure)
    if x.shape.rank != 4:
        raise ValueError(f"x must be [batch, height, width, channels]. Received: {x.shape}")
    _check_length("The last axis of x", x.shape[-1], structure.shape[2])
    if (*structure.shape[:2], *strides) == (1, 1, 1, 1):
        return sparse_matmul(x, values, structure, None if bias.shape[0] == 0 else bias, relu)
    return library().tf_pai_sparse_conv2d(
        x=x,
        values=values,
        bias=bias,
        kernel_size=structure.shape[:2],
        strides=strides,
        padding=padding,
        relu=relu,
        use_bias=bias.shape[0] != 0,
        panels=structure.panels,
        **structure.arrays,
    )


def _float32(name: str, value: Any) -> tf.Tensor:
    """`value` as a tensor; Python numbers become float32."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype != tf.float32:
        raise TypeError(f"The sparse kernels compute in float32. Received: {name} of type {tensor.dtype.name}")
    return tensor


def _bias(bias: Any, structure: SparseStructure) -> tf.Tensor:
    """`bias` as a tensor; without elements where there is none."""
    if bias is None:
        return tf.zeros([0])
    bias = _float32("bias", bias)
    _check_length("bias", bias.shape[0], structure.cols)
    return bias


def _check_length(name: str, length: int | None, expected: int) -> None:
    if length is not None and length != expected:
        raise ValueError(f"{name} must have the kernel's length {expected}. Received: {length}")


def _checked_strides(strides: int | Sequence[int]) -> tuple[int, int]:
    pair = (strides, strides) if isinstance(strides, int) else tuple(strides)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"strides are one or two positive integers. Received: {strides}")
    return pair[0], pair[1]
