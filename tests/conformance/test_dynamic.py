"""What every dynamic method promises, on every family of models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import SETTINGS, method
from tf_pai.layers import strip, weights_of
from tf_pai.masks import connections
from tf_pai.testing import subclassed  # noqa: F401, registers its families
from tf_pai.testing.families import FAMILIES

NAMES = list(SETTINGS)
# RigL on every family, and with each family one of the others in turn.
PAIRS = [(family, name) for i, family in enumerate(FAMILIES) for name in ("RigL", NAMES[1:][i % (len(NAMES) - 1)])]


class Check(keras.callbacks.Callback):
    """After each batch: the declared number of weights, no layer emptied, pruned weights zero where promised."""

    def __init__(self, callback):
        super().__init__()
        self.callback, self.before, self.moved = callback, None, 0

    def on_train_batch_end(self, batch, logs=None):
        masks, step = connections(self.model), int(self.model.optimizer.iterations)
        counts = [int(mask.sum()) for mask in masks.values()]
        assert min(counts) > 0
        if self.callback.is_due(step):
            assert sum(counts) == self.callback.kept(step)
        if self.callback.layerwise:
            assert counts == self.callback.counts_at_start
        if not self.callback.keeps_dense_weights:
            assert tf_pai.verify(self.model)
        if self.before is not None:
            self.moved += sum(int((self.before[path] != mask).sum()) for path, mask in masks.items())
        self.before = masks


@pytest.mark.parametrize("family, name", PAIRS)
def test_promises(family, name, tmp_path):
    kind = FAMILIES.find(family)
    model, callback = kind.build(), method(name, end_step=4)
    if not callback.starts_dense:
        model = tf_pai.prune_at_init(model, "random", 0.5, distribution="erk", seed=0)
    losses = {"first": kind.loss(), "second": kind.loss()} if family == "multi_io" else kind.loss()
    model.compile(keras.optimizers.Adam(0.02), losses)
    x, y = kind.data(16)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    check = Check(callback)
    model.fit(batches, epochs=2, verbose=0, callbacks=[callback, check])
    assert check.moved > 0
    assert tf_pai.verify(model)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for pair in zip(tf_pai.get_masks(model).values(), tf_pai.get_masks(loaded).values(), strict=True):
        np.testing.assert_array_equal(*pair)
    for pair in zip(weights_of(model).values(), weights_of(loaded).values(), strict=True):
        np.testing.assert_array_equal(*(variable.numpy() for variable in pair))
    assert not tf_pai.get_masks(strip(loaded))
