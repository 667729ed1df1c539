"""What the tests of layers and masks share: random masks, leaks, and a watch on every batch."""

import keras
import numpy as np

from tf_pai.layers import prunable_weights
from tf_pai.masks import get_masks, masked_weights, set_masks

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def random_masks(model, sparsity=0.7, seed=1):
    """{path: mask} for every prunable weight of the model."""
    rng = np.random.default_rng(seed)
    return {path: rng.random(weight.shape) >= sparsity for path, weight in prunable_weights(model).items()}


def pruned(model, sparsity=0.7, **compile_arguments):
    """The model with random masks, compiled if arguments are given."""
    model = set_masks(model, random_masks(model, sparsity))
    if compile_arguments:
        model.compile(**{"loss": LOSS, **compile_arguments})
    return model


def leaks(model):
    """Paths of the weights that are not zero, or not a number, where they are pruned; and of NaN anywhere."""
    return [
        path
        for path, (weight, mask) in masked_weights(model).items()
        if np.any(weight.numpy()[mask.numpy() == 0]) or not np.isfinite(weight.numpy()).all()
    ]


def same_masks(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[path], other[path]) for path in one)


class Watch(keras.callbacks.Callback):
    """Looks for leaks after each batch."""

    def __init__(self):
        super().__init__()
        self.found, self.batches = [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.found += leaks(self.model)


def trained(model, x, y, **arguments):
    """The model after a fit through which pruned weights stayed zero, each batch of it."""
    watch, masks = Watch(), get_masks(model)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(x, y, verbose=0, callbacks=[watch], **{"batch_size": 8, "epochs": 2, **arguments})
    assert watch.batches > 0 and not watch.found and not leaks(model)
    assert same_masks(get_masks(model), masks)
    after = [variable.numpy() for variable in model.trainable_variables]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    return model


def outputs(model, x):
    return keras.tree.map_structure(np.asarray, model(x, training=False))


def assert_same_outputs(one, other, x, tolerance=0.0):
    for a, b in zip(keras.tree.flatten(outputs(one, x)), keras.tree.flatten(outputs(other, x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
