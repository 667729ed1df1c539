"""What the operations refuse: tampered structures, arrays and arguments that do not fit, second-order gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tf_pai.kernels import from_mask, sparse_conv2d, sparse_matmul

pytestmark = pytest.mark.usefixtures("built")


def tamper(name, index, value):
    """A good structure of a [12, 6] kernel, or of [1, 3, 4, 6], with one number changed."""
    mask = np.random.default_rng(5).random((12, 6)) < 0.5
    structure = from_mask(mask)
    array = structure.arrays[name].astype(np.int32)
    array[index] = value if value is not None else array[index - 1] - 1
    others = {n: a.astype(np.int32) for n, a in structure.arrays.items() if "idx" in n}
    return structure.map(lambda a: a).__class__(structure.shape, **{**structure.arrays, **others, name: array})


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("row_idx", 3, 12, r"indices must be in \[0, 12\)"),
        ("row_idx", 0, -1, r"indices must be in \[0, 12\)"),
        ("col_idx", 5, 6, r"indices must be in \[0, 6\)"),
        ("col_idx", 5, -7, r"indices must be in \[0, 6\)"),
        ("perm", 2, 10**6, "permutation must be in"),
        ("perm", 2, -1, "permutation must be in"),
        ("col_ptr", 3, None, "pointers must not go down"),
        ("row_ptr", 3, None, "pointers must not go down"),
        ("col_ptr", 0, 1, "first pointer must be 0"),
        ("row_ptr", -1, 10**6, "last pointer must be the number of values"),
    ],
)
@pytest.mark.parametrize("layer", ["matmul", "conv"])
def test_a_tampered_structure_is_refused(name, index, value, message, layer):
    structure = tamper(name, index, value)
    values = tf.ones([structure.nnz])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message), tf.GradientTape() as tape:
        tape.watch(values)
        if layer == "matmul":
            y = sparse_matmul(np.ones((4, 12), "f4"), values, structure)
        else:
            conv = structure.__class__((1, 3, 4, 6), **structure.arrays)
            y = sparse_conv2d(np.ones((4, 5, 5, 4), "f4"), values, conv)
        tape.gradient(y, values)


@pytest.mark.parametrize("name", ["row_ptr", "col_idx", "col_ptr", "row_idx", "perm"])
def test_arrays_of_the_wrong_length_are_refused(name):
    structure = from_mask(np.random.default_rng(6).random((12, 6)) < 0.5)
    for cut in (slice(0, -1), slice(0, 0)):
        wrong = structure.__class__(structure.shape, **{**structure.arrays, name: structure.arrays[name][cut]})
        values = tf.ones([structure.nnz])
        with (
            pytest.raises(tf.errors.InvalidArgumentError, match=r"there must be|must have|last pointer"),
            tf.GradientTape() as tape,
        ):
            tape.watch(values)
            tape.gradient(sparse_matmul(np.ones((4, 12), "f4"), values, wrong), values)


def test_wrong_arguments_are_refused():
    structure = from_mask(np.ones((3, 2), bool))
    conv = from_mask(np.ones((3, 3, 2, 2), bool))
    x, values, images = tf.ones([4, 3]), tf.ones([6]), tf.ones([1, 5, 5, 2])
    with pytest.raises(TypeError, match=r"float32. Received: x of type float64"):
        sparse_matmul(np.ones((4, 3)), values, structure)
    with pytest.raises(TypeError, match=r"float32. Received: values of type bfloat16"):
        sparse_matmul(x, tf.cast(values, tf.bfloat16), structure)
    with pytest.raises(ValueError, match=r"last axis of x must have the kernel's length 3. Received: 5"):
        sparse_matmul(tf.ones([4, 5]), values, structure)
    with pytest.raises(ValueError, match=r"bias must have the kernel's length 2. Received: 3"):
        sparse_matmul(x, values, structure, tf.ones([3]))
    with pytest.raises(ValueError, match=r"\[height, width, in, out\]. Received: shape=\(3, 2\)"):
        sparse_conv2d(images, values, structure)
    with pytest.raises(ValueError, match=r"'SAME' or 'VALID'. Received: 'FULL'"):
        sparse_conv2d(images, tf.ones([36]), conv, padding="full")
    with pytest.raises(ValueError, match=r"strides are one or two positive integers. Received: 0"):
        sparse_conv2d(images, tf.ones([36]), conv, 0)
    with pytest.raises(ValueError, match=r"x must be \[batch, height, width, channels\]"):
        sparse_conv2d(x, tf.ones([36]), conv)
    with pytest.raises(ValueError, match=r"last axis of x must have the kernel's length 2. Received: 3"):
        sparse_conv2d(tf.ones([1, 5, 5, 3]), tf.ones([36]), conv)


def test_a_width_that_only_shows_when_it_runs_is_refused():
    structure, conv = from_mask(np.ones((3, 2), bool)), from_mask(np.ones((3, 3, 2, 2), bool))

    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def matmul(x):
        return sparse_matmul(x, tf.ones([6]), structure)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, None])])
    def conv2d(x):
        return sparse_conv2d(x, tf.ones([36]), conv)

    with pytest.raises(tf.errors.InvalidArgumentError, match="x must have the kernel's 3 rows as its inputs, not 7"):
        matmul(tf.ones([2, 7]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="x must have the kernel's 18 rows as its inputs, not 45"):
        conv2d(tf.ones([1, 4, 4, 5]))
    assert matmul(tf.ones([2, 3])).shape == (2, 2) and conv2d(tf.ones([1, 4, 4, 2])).shape == (1, 4, 4, 2)


def test_gradients_in_forward_mode_are_refused():
    structure, values = from_mask(np.ones((3, 2), bool)), tf.ones([6])
    with (
        pytest.raises(NotImplementedError, match="none in forward mode"),
        tf.autodiff.ForwardAccumulator(values, tf.ones([6])) as forward,
    ):
        forward.jvp(sparse_matmul(tf.ones([4, 3]), values, structure))


def test_second_order_gradients_are_refused():
    structure = from_mask(np.ones((3, 2), bool))
    x, values = tf.ones([4, 3]), tf.ones([6])
    with pytest.raises(NotImplementedError, match="no second-order gradient"), tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            loss = tf.reduce_sum(sparse_matmul(x, values, structure) ** 2)
        outer.gradient(tf.reduce_sum(inner.gradient(loss, values)), values)
