"""The families whose models are of the user's own class."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai.testing.families import CLASSES, PACKAGE, L, family, vectors


@keras.saving.register_keras_serializable(PACKAGE)
class Block(keras.layers.Layer):
    """A layer that holds layers, one of them in a list.

    Args:
        width: number of features.
        **kwargs: see `keras.layers.Layer`.
    """

    def __init__(self, width: int = 6, **kwargs: Any):
        super().__init__(**kwargs)
        self.width = width
        self.first, self.norm = L.Dense(width), L.BatchNormalization()
        self.rest = [L.Dense(width, activation="relu"), L.Dense(width)]

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Returns the block's output."""
        h = self.norm(self.first(x), training=training)
        for layer in self.rest:
            h = layer(h)
        return x + h

    def get_config(self) -> dict:
        """Returns the width, and Keras' own."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(PACKAGE)
class Subclassed(keras.Model):
    """A model with layers in attributes, a list, a dictionary, a tuple, a block and a Sequential.

    Args:
        depth: number of layers in the list.
        **kwargs: see `keras.Model`.
    """

    def __init__(self, depth: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.depth = depth
        self.stem = L.Dense(6)
        self.stack = [L.Dense(6, activation="relu") for _ in range(depth)]
        self.branches = {"left": L.Dense(5), "right": {"inner": L.Dense(6, name="inner")}}
        self.pair = (L.Dense(6, activation="relu"), L.LayerNormalization())
        self.block = Block()
        self.mixer = keras.Sequential([L.Dense(7, activation="relu"), L.Dense(6)])
        self.again = self.stack[0]
        self.head = L.Dense(CLASSES)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Returns logits."""
        x = self.mixer(self.stem(x))
        for layer in [*self.stack, *self.pair, self.again]:
            x = layer(x)
        x = self.branches["right"]["inner"](self.branches["left"](x))
        return self.head(self.block(x, training=training))

    def get_config(self) -> dict:
        """Returns the depth, and Keras' own."""
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable(PACKAGE)
class OwnTrainStep(keras.Model):
    """A functional model of the user's own class, which says how it trains."""

    def train_step(self, data: Any) -> dict:
        """Trains on a batch, and says that it was this step that did."""
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, "own_step": tf.constant(1.0)}


@family(vectors)
def subclassed() -> keras.Model:
    """A model of the user's own class."""
    return Subclassed()


@family(vectors)
def own_train_step() -> keras.Model:
    """A functional model with the user's own `train_step`."""
    inputs = keras.Input((6,))
    x = L.Dropout(0.2)(L.Dense(8, activation="relu", name="fc")(inputs))
    return OwnTrainStep(inputs, L.Dense(CLASSES, name="head")(x))


@family(vectors)
def subclassed_inside() -> keras.Model:
    """A functional model that has a subclassed one for a layer."""
    inputs = keras.Input((6,))
    x = Subclassed(depth=1, name="inside")(L.Dense(6, activation="relu")(inputs))
    return keras.Model(inputs, L.Dense(CLASSES, name="head")(x))
