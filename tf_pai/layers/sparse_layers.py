"""Sparse forms of Keras' layers: Dense, Conv2D, EinsumDense."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai import kernels
from tf_pai.kernels import SparseStructure
from tf_pai.layers.prunable import PACKAGE
from tf_pai.layers.sparse import SparseKernel


@keras.saving.register_keras_serializable(PACKAGE)
class SparseDense(SparseKernel, keras.layers.Dense):
    """y = act(x @ w + b), where w holds a fraction of its weights and computes with these only.

    Memory, optimizer state and time go with the number of kept weights: a layer of 16384 x 16384 at 1 % takes what
    2.7 million weights take. Initializers that scale by fans see the kept weights: a "he_normal" layer keeps the
    signal's variance at any density.

    Args:
        units: number of outputs.
        density: fraction of the weights that is kept, in (0, 1].
        distribution: how these are drawn: "uniform", each weight as likely as any other, or "fan_in", the same number
            of inputs for each unit. `tf_pai.set_masks` places them by coordinates.
        seed: of the drawing; None: another one each time, or after `keras.utils.set_random_seed` a repeatable one.
        **kwargs: of `keras.layers.Dense`; no LoRA, no quantization.

    Raises:
        ValueError: a density or distribution that is none, or an initializer that needs the whole matrix.

    Example:
        >>> import keras, tf_pai
        >>> layer = tf_pai.layers.SparseDense(100, density=0.05, activation="relu", seed=0)
        >>> model = keras.Sequential([keras.Input((40,)), layer, keras.layers.Dense(10)])
        >>> tuple(layer.kernel.shape), round(tf_pai.sparsity(model), 2)
        ((200,), 0.95)
    """

    stands_for = keras.layers.Dense

    def __init__(
        self, units: int, density: float, distribution: str = "uniform", seed: int | None = None, **kwargs: Any
    ):
        super().__init__(units, **kwargs)
        self._set_options(density, distribution, seed)

    def _compute(self, inputs: Any, values: Any, structure: SparseStructure, bias: Any, relu: bool) -> tf.Tensor:
        return kernels.sparse_matmul(inputs, values, structure, bias, relu)

    def _compute_densely(self, inputs: Any, kernel: tf.Tensor) -> tf.Tensor:
        return keras.ops.matmul(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class SparseConv2D(SparseKernel, keras.layers.Conv2D):
    """y = act(conv2d(x, w) + b), where w holds a fraction of its weights and computes with these only.

    Any kernel size and strides, padding "same" or "valid", channels last; no groups, no dilation.

    Args:
        filters: number of output channels.
        kernel_size: integer, or (height, width).
        density: fraction of the weights that is kept, in (0, 1].
        distribution: as in `SparseDense`.
        seed: as in `SparseDense`.
        **kwargs: of `keras.layers.Conv2D`.

    Raises:
        ValueError: groups, dilation or channels first; and as `SparseDense`.

    Example:
        >>> layer = SparseConv2D(8, 3, density=0.25, padding="same", seed=0)
        >>> tuple(layer(np.ones((1, 5, 5, 4), "float32")).shape), layer.nnz
        ((1, 5, 5, 8), 72)
    """

    stands_for = keras.layers.Conv2D
    has_tiles = False

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        density: float,
        distribution: str = "uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        self._set_options(density, distribution, seed)
        if not plain_convolution(self):
            raise ValueError(
                "SparseConv2D has channels last, one group and no dilation. Received: "
                f"data_format={self.data_format!r}, groups={self.groups}, dilation_rate={self.dilation_rate}."
            )

    def _compute(self, inputs: Any, values: Any, structure: SparseStructure, bias: Any, relu: bool) -> tf.Tensor:
        return kernels.sparse_conv2d(inputs, values, structure, self.strides, self.padding, bias, relu)

    def _compute_densely(self, inputs: Any, kernel: tf.Tensor) -> tf.Tensor:
        return self.convolution_op(inputs, kernel)

    def dense_gradient(self, inputs: tf.Tensor, dy: tf.Tensor, begin: Any, rows: int) -> tf.Tensor:
        """Returns some rows of dL/dw of the dense kernel as a matrix; all are computed."""
        strides, padding = [1, *self.strides, 1], self.padding.upper()
        whole = tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=self.kernel_shape, out_backprop=dy, strides=strides, padding=padding
        )
        return tf.reshape(whole, self.matrix_shape)[begin : begin + rows]


def plain_convolution(layer: keras.layers.Conv2D) -> bool:
    """Tells whether the native kernels compute this convolution."""
    plain = layer.groups == 1 and set(layer.dilation_rate) == {1} and layer.data_format == "channels_last"
    return plain and layer.padding in ("same", "valid")


@keras.saving.register_keras_serializable(PACKAGE)
class SparseEinsumDense(SparseKernel, keras.layers.EinsumDense):
    """An EinsumDense that is a matrix product over the last axes of its input, with a fraction of its weights.

    Args:
        equation: one that `is_matrix_product` accepts, such as "abc,cde->abde" or "abcd,cde->abe".
        output_shape: of `keras.layers.EinsumDense`.
        density: fraction of the weights that is kept, in (0, 1].
        distribution: as in `SparseDense`.
        seed: as in `SparseDense`.
        **kwargs: of `keras.layers.EinsumDense`.

    Raises:
        ValueError: an equation that is no such product; and as `SparseDense`.

    Example:
        >>> layer = SparseEinsumDense("abc,cde->abde", (None, 2, 3), density=0.5, seed=0)
        >>> tuple(layer(np.ones((1, 5, 4), "float32")).shape), layer.nnz
        ((1, 5, 2, 3), 12)
    """

    stands_for = keras.layers.EinsumDense

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        density: float,
        distribution: str = "uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(equation, output_shape, **kwargs)
        self._set_options(density, distribution, seed)
        if not is_matrix_product(equation):
            raise ValueError(
                "SparseEinsumDense sums over the last axes of its input, the first of the kernel, and puts the "
                f"kernel's others last. Received: equation={equation!r}."
            )

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the kernel as a matrix: the axes that are summed over, and the others."""
        summed = _summed_axes(self.equation)
        rows, cols = self.kernel_shape[:summed], self.kernel_shape[summed:]
        return int(np.prod(rows, dtype=np.int64)), int(np.prod(cols, dtype=np.int64))

    @property
    def _structure_shape(self) -> tuple[int, ...]:
        return self.matrix_shape

    def _compute(self, inputs: Any, values: Any, structure: SparseStructure, bias: Any, relu: bool) -> tf.Tensor:
        rows, cols = self.matrix_shape
        summed = _summed_axes(self.equation)
        leading = tf.shape(inputs)[: len(inputs.shape) - summed]
        is_per_output = bias is not None and tuple(bias.shape) == self.kernel_shape[summed:]
        fused = tf.reshape(bias, [cols]) if is_per_output else None
        whole = bias is None or fused is not None
        inputs = tf.reshape(inputs, tf.concat([leading, [rows]], 0))
        outputs = kernels.sparse_matmul(inputs, values, structure, fused, relu and whole)
        outputs = tf.reshape(outputs, tf.concat([leading, self.kernel_shape[summed:]], 0))
        if not whole:
            outputs = tf.nn.relu(outputs + bias) if relu else outputs + bias
        return outputs

    def _compute_densely(self, inputs: Any, kernel: tf.Tensor) -> tf.Tensor:
        return keras.ops.einsum(self.equation, inputs, kernel)


def _summed_axes(equation: str) -> int:
    inputs, kernel, _ = re.split(",|->", equation.replace(" ", ""))
    return sum(axis in inputs for axis in kernel)


def is_matrix_product(equation: str) -> bool:
    """Tells whether an Einstein sum is a matrix product over the last axes of its input.

    Example:
        >>> is_matrix_product("abc,cde->abde"), is_matrix_product("abc,bcd->abd")
        (True, False)
    """
    inputs, kernel, output = re.split(",|->", equation.replace(" ", ""))
    summed = "".join(axis for axis in kernel if axis in inputs)
    others = kernel[len(summed) :]
    plain = kernel == summed + others and not set(summed) & set(output) and len(set(kernel)) == len(kernel)
    return plain and bool(summed) and inputs.endswith(summed) and output == inputs[: -len(summed)] + others
