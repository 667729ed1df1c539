"""New initial values, as each layer would draw them."""

import keras
import numpy as np
import pytest

from tf_pai.layers import prunable_weights
from tf_pai.layers.initializing import initial_value

L = keras.layers
WIDE = keras.initializers.RandomNormal(stddev=2.0)


def weights_of_model(layer, shape):
    return prunable_weights(keras.Sequential([keras.Input(shape), layer]))


def test_the_seed_decides_and_the_weight_stays():
    (weight,) = weights_of_model(L.Dense(50), (40,)).values()
    before = weight.variable.numpy()
    a, again, b = (initial_value(weight, seed) for seed in (1, 1, 2))
    assert (a == again).all() and (a != b).any() and (weight.variable.numpy() == before).all()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.Dense(64, kernel_initializer="he_normal"), (64,)),
        (L.Conv2D(32, 3, kernel_initializer=WIDE), (8, 8, 8)),
        (L.DepthwiseConv2D(3, depthwise_initializer=WIDE), (8, 8, 64)),
        (L.SeparableConv2D(64, 3, pointwise_initializer=WIDE), (8, 8, 64)),
        (L.Embedding(50, 20, embeddings_initializer=WIDE), (4,)),
    ],
)
def test_values_come_from_the_layers_own_initializer(layer, shape):
    for weight in weights_of_model(layer, shape).values():
        assert initial_value(weight, 0).std() == pytest.approx(weight.variable.numpy().std(), rel=0.15)


def test_recurrent_kernels_are_orthogonal():
    weights = weights_of_model(L.SimpleRNN(8), (3, 4))
    kernel = next(initial_value(w, 0) for path, w in weights.items() if "recurrent" in path)
    assert np.allclose(kernel.T @ kernel, np.eye(8), atol=1e-5)


def test_a_weight_of_unknown_origin_gets_its_own_values_in_another_order():
    class Own(L.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 5), initializer="glorot_normal", name="w")

        def call(self, x):
            return x @ self.w

    (weight,) = weights_of_model(Own(), (6,)).values()
    new, old = initial_value(weight, 0), weight.variable.numpy()
    assert (new != old).any() and (np.sort(new, axis=None) == np.sort(old, axis=None)).all()
