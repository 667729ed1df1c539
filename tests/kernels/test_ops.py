import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_pai import kernels
from tf_pai.kernels import from_mask, sparse_conv2d, sparse_matmul
from tf_pai.kernels.selfcheck import compare

pytestmark = pytest.mark.usefixtures("built")

densities = st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0])
few = settings(max_examples=25, deadline=None)


def random_kernel(rng, shape, density):
    """A sparse kernel, one row and one column of which are empty."""
    mask = rng.random(shape) < density
    if density < 1:
        mask[..., rng.integers(shape[-2]), :] = False
        mask[..., rng.integers(shape[-1])] = False
    return (rng.normal(size=shape) * mask).astype(np.float32), from_mask(mask)


def floats(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 7, 60])  # of the three instruction sets
def test_the_fused_relu_keeps_what_is_no_number(batch):
    """A training that diverged has to be seen, by TerminateOnNaN too."""
    structure, conv = from_mask(np.ones((2, 2), bool)), from_mask(np.ones((1, 3, 2, 2), bool))
    x = np.tile(np.array([[np.nan, 1.0]], "f4"), (batch, 1))
    assert np.isnan(sparse_matmul(x, [-1.0] * 4, structure, relu=True)).all()
    assert np.isnan(sparse_conv2d(x[:, None, None], [-1.0] * 12, conv, relu=True)).all()
    assert not np.any(sparse_matmul(np.ones_like(x), [-1.0] * 4, structure, relu=True))


@few
@given(
    batch=st.sampled_from([1, 2, 7, 60, 128, 131]),
    inputs=st.integers(1, 150),
    outputs=st.integers(1, 150),
    density=densities,
    relu=st.booleans(),
    seed=st.integers(0, 999),
)
def test_matmul_is_the_dense_one(batch, inputs, outputs, density, relu, seed):
    rng = np.random.default_rng(seed)
    kernel, structure = random_kernel(rng, (inputs, outputs), density)
    act = tf.nn.relu if relu else tf.identity
    error = compare(
        lambda x, v, b: sparse_matmul(x, v, structure, b, relu),
        lambda x, w, b: act(x @ w + b),
        floats(rng, batch, inputs),
        kernel,
        structure,
        rng,
    )
    assert error < 1e-5


@few
@given(
    batch=st.sampled_from([1, 7, 20, 60, 128]),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    channels=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    window=st.sampled_from([(1, 1), (3, 3), (5, 5), (2, 4), (7, 1)]),
    strides=st.sampled_from([1, 2, (1, 2), 3]),
    padding=st.sampled_from(["SAME", "VALID"]),
    density=densities,
    relu=st.booleans(),
    seed=st.integers(0, 999),
)
def test_conv_is_the_dense_one(batch, size, channels, window, strides, padding, density, relu, seed):
    rng = np.random.default_rng(seed)
    if padding == "VALID":
        size = tuple(max(length, side) for length, side in zip(size, window, strict=True))
    kernel, structure = random_kernel(rng, (*window, *channels), density)
    act = tf.nn.relu if relu else tf.identity
    error = compare(
        lambda x, v, b: sparse_conv2d(x, v, structure, strides, padding, b, relu),
        lambda x, w, b: act(tf.nn.conv2d(x, w, strides, padding) + b),
        floats(rng, batch, *size, channels[0]),
        kernel,
        structure,
        rng,
    )
    assert error < 1e-5


def test_more_panels_than_one_and_wide_indices():
    rng = np.random.default_rng(0)
    kernel, structure = random_kernel(rng, (2500, 70), 0.05)
    wide = structure.map(lambda array: array.astype(np.int32))
    x = floats(rng, 9, 2500)
    for each in (structure, wide):
        error = compare(
            lambda x, v, b, s=each: sparse_matmul(x, v, s, b), lambda x, w, b: x @ w + b, x, kernel, structure, rng
        )
        assert error < 1e-5


@pytest.mark.parametrize("layer", ["matmul", "conv"])
def test_gradients_are_finite_differences(layer):
    """Without ReLU, the output is linear in each argument: a difference is exact for a step of any size."""
    rng = np.random.default_rng(1)
    shape = (12, 9) if layer == "matmul" else (3, 3, 4, 5)
    kernel, structure = random_kernel(rng, shape, 0.4)
    x = tf.constant(floats(rng, *((6, 12) if layer == "matmul" else (6, 7, 5, 4))))
    arguments = [x, tf.constant(structure.gather(kernel)), tf.constant(floats(rng, structure.cols))]

    def objective(x, values, bias):
        y = (
            sparse_matmul(x, values, structure, bias)
            if layer == "matmul"
            else sparse_conv2d(x, values, structure, 2, "SAME", bias)
        )
        return tf.reduce_sum(y * tf.reshape(tf.sin(tf.range(tf.size(y), dtype=tf.float32)), y.shape))

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        total = objective(*arguments)
    for place, gradient in enumerate(tape.gradient(total, arguments)):
        step = tf.constant(floats(rng, *arguments[place].shape))
        moved = [a + step if i == place else a for i, a in enumerate(arguments)]
        difference = float(objective(*moved) - total)
        assert difference == pytest.approx(float(tf.reduce_sum(gradient * step)), rel=1e-4, abs=1e-3)


def test_no_bias_and_leading_axes():
    rng = np.random.default_rng(2)
    kernel, structure = random_kernel(rng, (10, 6), 0.5)
    x, values = tf.constant(floats(rng, 2, 3, 4, 10)), tf.constant(structure.gather(kernel))
    with tf.GradientTape() as tape:
        tape.watch(values)
        y = sparse_matmul(x, values, structure)
    np.testing.assert_allclose(y, x @ kernel, atol=1e-5)
    expected = tf.tensordot(x, tf.ones([2, 3, 4, 6]), [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_allclose(tape.gradient(y, values), structure.gather(expected), atol=1e-4)
    assert sparse_matmul(x[0, 0, 0], values, structure).shape == (6,)


def test_empty_batch_and_no_weights():
    structure = from_mask(np.zeros((3, 3, 2, 4), bool))
    y = sparse_conv2d(np.ones((0, 5, 5, 2), "f4"), tf.zeros([0]), structure)
    assert y.shape == (0, 5, 5, 4)
    y = sparse_conv2d(np.ones((3, 5, 5, 2), "f4"), tf.zeros([0]), structure, bias=[1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(y[2, 4, 4], [1, 2, 3, 4])


def test_in_a_function_with_variables_and_an_unknown_batch():
    """The input gradient is computed only where something asks for it; shapes are known before anything runs."""
    rng = np.random.default_rng(3)
    kernel, structure = random_kernel(rng, (30, 20), 0.3)
    arrays = structure.map(lambda array: tf.Variable(array, trainable=False))
    values = tf.Variable(structure.gather(kernel))
    signature = tf.TensorSpec([None, 30])

    @tf.function(input_signature=[signature])
    def first_layer(x):
        with tf.GradientTape() as tape:
            y = sparse_matmul(x, values, arrays.map(tf.convert_to_tensor), relu=True)
        return y, tape.gradient(y, values)

    @tf.function(input_signature=[signature])
    def inner_layer(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = sparse_matmul(x, values, arrays.map(tf.convert_to_tensor), relu=True)
        return y, *tape.gradient(y, [values, x])

    for batch in (5, 64):
        x = tf.constant(floats(rng, batch, 30))
        first, inner = first_layer(x), inner_layer(x)
        assert first_layer.get_concrete_function().structured_outputs[0].shape.as_list() == [None, 20]
        np.testing.assert_allclose(first[0], tf.nn.relu(x @ kernel), atol=1e-5)
        np.testing.assert_array_equal(first[1], inner[1])
        np.testing.assert_allclose(inner[2], tf.cast(first[0] > 0, tf.float32) @ kernel.T, atol=1e-5)


@pytest.mark.parametrize("batch", [60, 200])
def test_results_are_bitwise_repeatable(batch):
    rng = np.random.default_rng(4)
    kernel, structure = random_kernel(rng, (400, 300), 0.2)
    conv_kernel, conv_structure = random_kernel(rng, (3, 3, 16, 16), 0.2)
    x, images = tf.constant(floats(rng, batch, 400)), tf.constant(floats(rng, batch, 9, 9, 16))
    values, taps = (tf.constant(s.gather(k)) for s, k in ((structure, kernel), (conv_structure, conv_kernel)))

    def once():
        with tf.GradientTape() as tape:
            tape.watch([x, images, values, taps])
            outputs = [sparse_matmul(x, values, structure), sparse_conv2d(images, taps, conv_structure)]
        return [a.numpy() for a in (*outputs, *tape.gradient(outputs, [x, images, values, taps]))]

    first = once()
    for _ in range(5):
        for a, b in zip(first, once(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("isa", ["avx512", "avx2", "base"])
def test_every_instruction_set_on_random_layers(isa):
    """The property tests above, in a process whose kernels run on other instructions."""
    tests = [f"{__file__}::{name}" for name in ("test_matmul_is_the_dense_one", "test_conv_is_the_dense_one")]
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "TF_PAI_ISA": isa, "PYTEST_ADDOPTS": ""},  # which may hide how many passed
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0 and "2 passed" in answer.stdout, answer.stdout[-2000:] + answer.stderr[-2000:]


@pytest.mark.parametrize("isa", ["avx512", "avx2", "base"])
def test_every_instruction_set(isa):
    """As far as this machine has it: `test` says which it used."""
    answer = subprocess.run(
        [sys.executable, "-m", "tf_pai.kernels", "test"],
        env={**os.environ, "TF_PAI_ISA": isa},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "largest relative error" in answer.stdout
    assert isa == "avx512" or "avx512" not in answer.stdout


def test_a_structure_changed_in_place_is_the_new_one():
    rng = np.random.default_rng(7)
    old, new = (from_mask(rng.permutation(np.arange(48) < 12).reshape(8, 6)) for _ in range(2))
    variables = old.map(lambda array: tf.Variable(array, trainable=False))
    compute = tf.function(lambda x, v: sparse_matmul(x, v, variables.map(tf.convert_to_tensor)))
    x, values = floats(rng, 5, 8), tf.constant(floats(rng, 12))
    np.testing.assert_allclose(compute(x, values), x @ old.scatter(values), atol=1e-5)
    for name, array in new.arrays.items():
        variables.arrays[name].assign(array)
    np.testing.assert_allclose(compute(x, values), x @ new.scatter(values), atol=1e-5)
    assert compute.experimental_get_tracing_count() == 1
    assert kernels.available()
