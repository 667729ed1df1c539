import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_pai.kernels import batch_norm

EPSILON = 1e-3


def floats(rng, *shape):
    return tf.constant(rng.normal(size=shape).astype(np.float32))


def as_keras(x, gamma, beta):
    mean, variance = keras.ops.moments(x, list(range(len(x.shape) - 1)))
    return keras.ops.batch_normalization(x, mean, variance, -1, beta, gamma, EPSILON), mean, variance


@pytest.mark.parametrize("shape", [(7, 5, 3, 10), (60, 6), (4, 9, 33), (1, 8, 8, 16), (2, 1, 1, 1)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_values_and_gradients_are_those_of_keras(shape, offset):
    rng = np.random.default_rng(0)
    x, dy = floats(rng, *shape) + offset, floats(rng, *shape)
    gamma, beta = floats(rng, shape[-1]), floats(rng, shape[-1])
    results = []
    for function in (lambda *a: batch_norm(*a, epsilon=EPSILON), as_keras):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            y, mean, variance = function(x, gamma, beta)
        results.append([y, mean, variance, *tape.gradient(y, [x, gamma, beta], output_gradients=dy)])
    tolerance = 1e-5 * (1 + offset)  # of x - mean in float32
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * float(np.abs(expected).max()))


def test_an_unknown_batch_keeps_the_shape():
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 4])])
    def normalize(x):
        y, _, variance = batch_norm(x, tf.ones([4]), tf.zeros([4]))
        assert y.shape.as_list() == [None, 3, 4] and variance.shape.as_list() == [4]
        return y

    x = floats(np.random.default_rng(1), 8, 3, 4)
    np.testing.assert_allclose(tf.math.reduce_variance(normalize(x), [0, 1]), np.ones(4), atol=1e-2)


def test_no_gradient_flows_through_the_statistics():
    x = tf.constant([[1.0], [3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        _, mean, variance = batch_norm(x, [1.0], [0.0])
    assert tape.gradient(mean + variance, x) is None


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"float32. Received: x of type float64"):
        batch_norm(np.ones((2, 3)), tf.ones([3]), tf.zeros([3]))
