"""Small models, one of each family that Keras has: what every method is proved on.

A family is a way to build a model (Sequential, functional, nested, subclassed ...) or a kind of layer that takes
part in it (recurrent, attention, separable convolutions).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.registry import Registry

PACKAGE = "tf_pai_testing"
CLASSES = 3
IMAGE, TOKENS, VOCABULARY = (8, 8, 2), (6,), 11
L = keras.layers


@dataclasses.dataclass(frozen=True)
class Family:
    """A small model and data that fits it.

    Attributes:
        name: what it is called.
        make: called without arguments, gives the model; uncompiled.
        x: called with a random generator and a number of examples, gives the inputs.
    """

    name: str
    make: Callable[[], keras.Model]
    x: Callable[[np.random.Generator, int], Any]

    def build(self, seed: int = 0) -> keras.Model:
        """Returns the model, built; the same seed gives the same weights."""
        keras.utils.set_random_seed(seed)
        model = self.make()
        if not model.built:
            model(self.x(np.random.default_rng(0), 2))
        return model

    def data(self, examples: int = 16, seed: int = 0) -> tuple[Any, Any]:
        """Returns (x, y): random inputs, and labels for each of the model's outputs."""
        generator = np.random.default_rng(seed)
        x, labels = self.x(generator, examples), generator.integers(0, CLASSES, examples)
        return x, {"first": labels, "second": labels} if self.name == "multi_io" else labels

    def loss(self) -> keras.losses.Loss:
        """Returns a loss that fits the outputs, which are logits."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


FAMILIES: Registry[Family] = Registry("model family")


def family(x: Callable[[np.random.Generator, int], Any]) -> Callable[[Callable[[], keras.Model]], Any]:
    """Registers a function that makes a model under its own name."""

    def add(make: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        FAMILIES.register(make.__name__)(Family(make.__name__, make, x))
        return make

    return add


def images(generator: np.random.Generator, examples: int) -> np.ndarray:
    """Returns standard-normal images (examples, 8, 8, 2)."""
    return generator.standard_normal((examples, *IMAGE)).astype("float32")


def vectors(generator: np.random.Generator, examples: int) -> np.ndarray:
    """Returns standard-normal inputs (examples, 6)."""
    return generator.standard_normal((examples, 6)).astype("float32")


def tokens(generator: np.random.Generator, examples: int) -> np.ndarray:
    """Returns words of a vocabulary (examples, 6)."""
    return generator.integers(1, VOCABULARY, (examples, *TOKENS), dtype="int32")


def _two_vectors(generator: np.random.Generator, examples: int) -> dict[str, np.ndarray]:
    return {"left": vectors(generator, examples), "right": vectors(generator, examples)}


@family(vectors)
def sequential() -> keras.Model:
    """A perceptron that knows its input."""
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), L.Dense(7, "relu"), L.Dense(CLASSES)])


@family(vectors)
def deferred() -> keras.Model:
    """A Sequential that is built by its first batch."""
    return keras.Sequential([L.Dense(8, activation="relu"), L.Dense(CLASSES)])


@family(images)
def functional() -> keras.Model:
    """A convolutional network with BatchNorm and a residual connection."""
    inputs = keras.Input(IMAGE)
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(inputs)))
    h = L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(x)))
    x = L.ReLU()(L.Add()([L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(h)), x]))
    return keras.Model(inputs, L.Dense(CLASSES, name="head")(L.GlobalAveragePooling2D()(x)))


@family(vectors)
def nested() -> keras.Model:
    """Models inside models, whose layers have the same names."""

    def block(name: str) -> keras.Model:
        return keras.Sequential([keras.Input((6,)), L.Dense(8, "relu", name="fc"), L.Dense(6, name="fc2")], name=name)

    inputs = keras.Input((6,))
    inner = keras.Input((6,))
    middle = keras.Model(inner, L.Add()([inner, block("block")(inner)]), name="middle")
    return keras.Model(inputs, L.Dense(CLASSES, name="fc")(block("block")(middle(inputs))))


@family(vectors)
def shared() -> keras.Model:
    """A layer and a model that are called twice each."""
    inputs = keras.Input((6,))
    layer = L.Dense(6, activation="relu", name="twice")
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, activation="relu", name="inner")], name="model")
    return keras.Model(inputs, L.Dense(CLASSES, name="head")(model(layer(model(layer(inputs))))))


@family(_two_vectors)
def multi_io() -> keras.Model:
    """Two inputs and two outputs, as dictionaries."""
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    x = L.Concatenate()([L.Dense(5, activation="relu")(left), L.Dense(5, activation="relu")(right)])
    outputs = {name: L.Dense(CLASSES, name=name)(x) for name in ("first", "second")}
    return keras.Model({"left": left, "right": right}, outputs)


@family(tokens)
def rnn() -> keras.Model:
    """Recurrent layers over an embedding that masks."""
    inputs = keras.Input(TOKENS, dtype="int32")
    x = L.Embedding(VOCABULARY, 5, mask_zero=True)(inputs)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    return keras.Model(inputs, L.Dense(CLASSES)(L.GRU(5)(x)))


@family(tokens)
def attention() -> keras.Model:
    """A transformer block over an embedding."""
    inputs = keras.Input(TOKENS, dtype="int32")
    x = L.Embedding(VOCABULARY, 8)(inputs)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)]))
    x = L.LayerNormalization()(L.Add()([x, L.EinsumDense("abc,cd->abd", (None, 8), activation="gelu")(x)]))
    return keras.Model(inputs, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(x)))


@family(images)
def separable() -> keras.Model:
    """Depthwise and separable convolutions."""
    layers = [L.Conv2D(6, 3, padding="same"), L.DepthwiseConv2D(3), L.BatchNormalization(), L.ReLU()]
    layers += [L.SeparableConv2D(6, 3), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(CLASSES)]
    return keras.Sequential([keras.Input(IMAGE), *layers])
