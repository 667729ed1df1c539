"""A small model with everything that has a state: dropout, BatchNorm, moments, masks."""

from __future__ import annotations

import keras
import numpy as np

import tf_pai

LAYERS = keras.layers


def small_model(optimizer=None, metrics=(), pruned: bool = True, **compile_options) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(8, activation="relu", name="one"),
            LAYERS.BatchNormalization(name="norm"),
            LAYERS.Dropout(0.2, seed=3, name="dropout"),
            LAYERS.Dense(3, name="two"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=list(metrics), **compile_options)
    return tf_pai.prune_at_init(model, "magnitude", 0.5, seed=0) if pruned else model


def small_data(examples: int = 20) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((examples, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32") + (x[:, 1] > 0)


def state_of(model: keras.Model) -> list[bytes]:
    """Every variable of model and optimizer, bit for bit."""
    return [np.asarray(variable).tobytes() for variable in [*model.variables, *model.optimizer.variables]]


class Parts(keras.utils.PyDataset):
    """`small_data` in two batches of ten."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        x, y = small_data()
        return x[10 * index : 10 * index + 10], y[10 * index : 10 * index + 10]
