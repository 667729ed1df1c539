"""Small models with each kind of layer that has a sparse form."""

import keras
import numpy as np

import tf_pai

L = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(dtype=None):
    """A convolution, an Einstein sum and a dense layer; the same weights each time."""
    keras.utils.set_random_seed(3)
    layers = [
        L.Conv2D(6, 3, strides=2, activation="relu", name="conv", dtype=dtype),
        L.Reshape((9, 6), dtype=dtype),
        L.EinsumDense("abc,cde->abde", (9, 2, 3), bias_axes="de", name="einsum", dtype=dtype),
        L.Flatten(dtype=dtype),
        L.Dense(3, name="fc", dtype=dtype),
    ]
    return keras.Sequential([keras.Input((8, 8, 2)), *layers])


class Subclassed(keras.Model):
    """Dense layers, one of them in a list."""

    def __init__(self, **options):
        super().__init__(**options)
        self.flat, self.conv, self.rest = L.Flatten(), L.Dense(8, "relu", name="conv"), [L.Dense(4), L.Dense(3)]

    def call(self, x):
        x = self.conv(self.flat(x))
        for layer in self.rest:
            x = layer(x)
        return x


def subclassed():
    """A built subclassed model; the same weights each time."""
    keras.utils.set_random_seed(4)
    model = Subclassed()
    model(np.zeros((1, 8, 8, 2), "float32"))
    return model


def data(examples=64):
    """Images and labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((examples, 8, 8, 2)).astype("float32"), rng.integers(0, 3, examples)


def pruned(model=None, sparsity=0.7, **options):
    """The network with random masks."""
    options = {"distribution": "uniform", "seed": 0, "verbose": 0, **options}
    return tf_pai.prune_at_init(network() if model is None else model, "random", sparsity, **options)


def masked_and_sparse(optimizer, model=None, **compile_arguments):
    """The same network twice, compiled with optimizers that `optimizer()` makes."""
    masked = pruned(model)
    masked.compile(optimizer(), LOSS, **compile_arguments)
    return masked, tf_pai.to_sparse(masked)


def difference(one, other):
    """max|difference| / max|w| over the dense weights of two models."""
    pairs = zip(tf_pai.strip(one).weights, tf_pai.strip(other).weights, strict=True)
    return max(_difference(a.numpy(), b.numpy()) for a, b in pairs)


def _difference(a, b):
    return float(np.abs(a - b).max() / (np.abs(a).max() or 1))
