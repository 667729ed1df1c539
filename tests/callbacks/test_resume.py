"""A run that was killed and resumed gives what one gives that was not."""

import keras
import numpy as np
import pytest
from keras.callbacks import BackupAndRestore

import tf_pai
from tests.callbacks.models import SETTINGS, data, method, model_for, same


class Kill(keras.callbacks.Callback):
    """Saves the model after the first epoch, and dies."""

    def __init__(self, file=None):
        super().__init__()
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        if self.file is not None:
            self.model.save(self.file)
        raise KeyboardInterrupt


@pytest.fixture(scope="module", params=list(SETTINGS))
def unkilled(request):
    callback = method(request.param)
    model = model_for(callback)
    model.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    return request.param, model


def check(model, unkilled):
    assert tf_pai.verify(model) and same(tf_pai.get_masks(model), tf_pai.get_masks(unkilled))
    for weight, other in zip(model.get_weights(), unkilled.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_killed_and_loaded_again(unkilled, tmp_path):
    name, expected = unkilled
    model = model_for(method(name))
    with pytest.raises(KeyboardInterrupt):
        model.fit(data(), epochs=2, verbose=0, callbacks=[method(name), Kill(tmp_path / "m.keras")])
    loaded = keras.models.load_model(tmp_path / "m.keras")
    loaded.fit(data(), initial_epoch=1, epochs=2, verbose=0, callbacks=[method(name)])
    check(loaded, expected)


def test_stopped_and_saved_in_between(unkilled, tmp_path):
    name, expected = unkilled
    if name not in ("RigL", "SNFS", "DSR", "DeepR", "DNS", "TopKAST"):
        pytest.skip("keeps nothing that the others do not keep")
    model = model_for(method(name))
    model.fit(data(), verbose=0, callbacks=[method(name)])
    assert tf_pai.verify(model)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    loaded.fit(data(), initial_epoch=1, epochs=2, verbose=0, callbacks=[method(name)])
    check(loaded, expected)


@pytest.mark.parametrize("name", ["RigL", "DSR", "DNS", "GraNet"])
def test_keras_own_backup(name, tmp_path):
    callback = method(name)
    expected = model_for(callback)
    expected.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    model, folder = model_for(callback), str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        model.fit(data(), epochs=2, verbose=0, callbacks=[method(name), BackupAndRestore(folder), Kill()])
    model = model_for(callback)
    model.fit(data(), epochs=2, verbose=0, callbacks=[method(name), BackupAndRestore(folder)])
    check(model, expected)
