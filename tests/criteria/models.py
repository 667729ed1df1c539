"""Small models of every family for the criteria's tests."""

import keras
import numpy as np

L = keras.layers


def batch(seed=0, examples=12, shape=(6,), classes=3):
    """(x, y): standard-normal inputs and uniform labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((examples, *shape)).astype("float32"), rng.integers(0, classes, examples)


def tokens(seed=0, examples=12, length=5, vocabulary=7, classes=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, vocabulary, (examples, length)), rng.integers(0, classes, examples)


def dense():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="tanh", name="fc1"), L.Dense(3, name="fc2")])


def norm_net():
    """Convolutions and BatchNorm with statistics that are not trivial."""
    keras.utils.set_random_seed(2)
    layers = [L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(), L.Activation("tanh")]
    layers += [L.Conv2D(5, 3, strides=2), L.BatchNormalization(epsilon=1e-5), L.Activation("tanh")]
    model = keras.Sequential([keras.Input((8, 8, 2)), *layers, L.GlobalAveragePooling2D(), L.Dense(3)])
    return shaken(model)


def residual_net():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 2))
    x = L.Activation("tanh")(L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(inputs)))
    h = L.Activation("tanh")(L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x)))
    x = L.Add()([L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(h)), x])
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.Activation("tanh")(x))))
    return shaken(model)


def transformer():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((5,), dtype="int32")
    x = L.Embedding(7, 8)(inputs)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)]))
    x = L.LayerNormalization()(L.Add()([x, L.Dense(8, activation="gelu")(x)]))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(x)))


def lstm():
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input((5,), dtype="int32"), L.Embedding(7, 4), L.LSTM(4), L.Dense(3)])


def group_norm_net():
    keras.utils.set_random_seed(6)
    layers = [L.Dense(8, activation="tanh"), L.GroupNormalization(groups=2), L.Dense(6), L.LayerNormalization()]
    return keras.Sequential([keras.Input((6,)), *layers, L.Dense(3)])


def shaken(model, seed=7):
    """The model with BatchNorm's four vectors away from 0 and 1."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            for variable in layer.variables:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


IMAGES = batch(shape=(8, 8, 2))
FAMILIES = {
    "dense": (dense, batch()),
    "norm_net": (norm_net, IMAGES),
    "residual_net": (residual_net, batch(shape=(6, 6, 2))),
    "transformer": (transformer, tokens()),
    "lstm": (lstm, tokens()),
    "group_norm_net": (group_norm_net, batch()),
}
