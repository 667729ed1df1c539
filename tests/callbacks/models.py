"""Small models and data, and one setting of each method, for the tests of dynamic masks."""

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from tf_pai import callbacks

L = keras.layers

SETTINGS = {
    "RigL": {},
    "SET": {},
    "SNFS": {},
    "DSR": {"threshold": 0.05},
    "DeepR": {"l1": 0.02, "temperature": 1e-4},
    "MEST": {"growth": "gradient"},
    "RigLITOP": {},
    "SETITOP": {},
    "DNS": {"sparsity": 0.7},
    "TopKAST": {"sparsity": 0.7},
    "GraNet": {"sparsity": 0.9},
    "ACDC": {"sparsity": 0.7, "begin_step": 2},
}


def method(name, **changes):
    """The callback of that name, with an update every two steps until step 12."""
    options = {"end_step": 12, "seed": 1, **SETTINGS[name]}
    if name != "DeepR":
        options["update_every"] = 2
    return getattr(callbacks, name)(**{**options, **changes})


def data(batch=8):
    """Eight batches of 64 examples of two classes, always the same."""
    x = np.random.default_rng(0).random((64, 8)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, (x.sum(1) > 4).astype("int32"))).batch(batch)


def mlp(optimizer="adam", sparsity=0.7, **compile_options):
    """A compiled network of three layers, pruned at random as ERK divides it, or plain where `sparsity` is None."""
    keras.utils.set_random_seed(0)
    layers = [L.Dense(16, "relu", name="a"), L.BatchNormalization(name="bn"), L.Dense(12, "relu", name="b")]
    model = keras.Sequential([keras.Input((8,)), *layers, L.Dense(2, name="c")])
    if sparsity is not None:
        model = tf_pai.prune_at_init(model, "random", sparsity, distribution="erk", seed=0)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **compile_options)
    return model


def model_for(callback, *args, **options):
    """A model as the method wants it: unpruned where it starts dense."""
    return mlp(*args, **{"sparsity": None if callback.starts_dense else 0.7, **options})


def same(masks, others):
    """Whether two dicts of masks are equal, whatever Keras counted the layers up to."""
    pairs = zip(masks.values(), others.values(), strict=True)
    return all(np.array_equal(mask, other) for mask, other in pairs)
