"""A quick check of the built kernels against dense TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.kernels.library import library
from tf_pai.kernels.ops import sparse_conv2d, sparse_matmul
from tf_pai.kernels.structure import SparseStructure, from_mask

TOLERANCE = 1e-4


def instruction_set() -> str:
    """Returns what the kernels run on: "avx512", "avx2" or "base" (128-bit vectors)."""
    lanes = int(library().tf_pai_lanes())
    return {16: "avx512", 8: "avx2", 4: "base"}[lanes]


def worst_error(cases: int = 8, seed: int = 0) -> float:
    """Returns the largest relative error of outputs and gradients over random layers."""
    rng = np.random.default_rng(seed)
    return max(max(_matmul_error(rng), _conv_error(rng)) for _ in range(cases))


def _matmul_error(rng: np.random.Generator) -> float:
    inputs, outputs, batch = rng.integers(1, 200, 3)
    kernel, structure = _random_kernel(rng, (inputs, outputs))
    x = rng.normal(size=(batch, inputs)).astype(np.float32)
    return compare(
        lambda x, v, b: sparse_matmul(x, v, structure, b, relu=True),
        lambda x, w, b: tf.nn.relu(x @ w + b),
        x,
        kernel,
        structure,
        rng,
    )


def _conv_error(rng: np.random.Generator) -> float:
    channels, filters, batch = rng.integers(1, 40, 3)
    size, stride = int(rng.choice([1, 3, 5])), int(rng.choice([1, 2]))
    padding = str(rng.choice(["SAME", "VALID"]))
    kernel, structure = _random_kernel(rng, (size, size, channels, filters))
    x = rng.normal(size=(batch, *rng.integers(5, 14, 2), channels)).astype(np.float32)
    return compare(
        lambda x, v, b: sparse_conv2d(x, v, structure, stride, padding, b),
        lambda x, w, b: tf.nn.conv2d(x, w, stride, padding) + b,
        x,
        kernel,
        structure,
        rng,
    )


def _random_kernel(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, SparseStructure]:
    mask = rng.random(shape) < rng.choice([0.05, 0.3, 1.0])
    return (rng.normal(size=shape) * mask).astype(np.float32), from_mask(mask)


def compare(
    sparse: Any, dense: Any, x: np.ndarray, kernel: np.ndarray, structure: SparseStructure, rng: np.random.Generator
) -> float:
    """Returns the largest relative error of y, dx, dvalues and dbias between a sparse and a dense function.

    Args:
        sparse: function of x, values and bias.
        dense: function of x, kernel and bias.
        x: the input.
        kernel: the dense kernel, zero where `structure` does not keep it.
        structure: of the kernel.
        rng: draws the bias and the output's gradient.
    """
    bias = tf.constant(rng.normal(size=structure.cols).astype(np.float32))
    dy = tf.constant(rng.normal(size=dense(x, kernel, bias).shape).astype(np.float32))
    got = _with_gradients(sparse, tf.constant(x), tf.constant(structure.gather(kernel)), bias, dy)
    expected = _with_gradients(dense, tf.constant(x), tf.constant(kernel), bias, dy)
    expected[2] = structure.gather(expected[2])
    # Gradients of values and bias are sums of so many random terms: about its root in size, also where they cancel.
    root = float(np.sqrt(dy.shape.num_elements() / structure.cols))
    return max(_error(*each) for each in zip(got, expected, (1.0, 1.0, root, root), strict=True))


def _with_gradients(function: Any, x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, dy: tf.Tensor) -> list[np.ndarray]:
    """The output and the gradients by x, weight and bias."""
    with tf.GradientTape() as tape:
        tape.watch([x, weight, bias])
        y = function(x, weight, bias)
    gradients = tape.gradient(y, [x, weight, bias], output_gradients=dy, unconnected_gradients="zero")
    return [y.numpy(), *(gradient.numpy() for gradient in gradients)]


def _error(got: np.ndarray, expected: np.ndarray, size: float) -> float:
    """The largest difference relative to the largest expected value and the usual `size` of one."""
    if got.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(got - expected), initial=0.0) / (size + np.max(np.abs(expected), initial=0.0)))
