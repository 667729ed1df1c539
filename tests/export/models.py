"""Small pruned models that the tests of exports share."""

import keras
import numpy as np

import tf_pai


def perceptron(units=64, inputs=64):
    layers = keras.layers
    stack = [keras.Input((inputs,), name="x"), layers.Dense(units, "relu", name="hidden"), layers.Dense(4, name="fc")]
    model = keras.Sequential(stack)
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape).astype("float32") for w in model.get_weights()])
    return model


def convnet():
    """Convolutions, a depthwise one and BatchNorm with moving averages that are not those it starts with."""
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x))
    x = layers.ReLU()(layers.Conv2D(64, 1, name="pointwise")(x))
    x = layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape) * rng.choice([-1, 1], variable.shape))
    model.get_layer("norm").moving_variance.assign(rng.uniform(0.5, 1.5, 16))
    return model


def pruned(model, sparsity=0.8, **options):
    return tf_pai.prune_at_init(model, "magnitude", sparsity, distribution="uniform", **options)


def outputs(model, x):
    return np.asarray(model(x, training=False))
