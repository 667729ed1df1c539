"""A run that was killed and resumed gives what one gives that was not."""

import keras
import numpy as np
import pytest
from keras.callbacks import BackupAndRestore

import tf_pai
from tests.callbacks.models import SETTINGS, data, method, mlp, model_for, same
from tf_pai.callbacks import DNS, RigL
from tf_pai.layers import prunable_layers


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


@pytest.mark.parametrize("name", ["RigL", "DSR", "DNS", "GraNet", "MEST first", "DeepR first"])
def test_keras_own_backup(name, tmp_path):
    name, _, is_first = name.partition(" ")
    callback = method(name)
    expected = model_for(callback)
    expected.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    model, folder = model_for(callback), str(tmp_path / "backup")

    def callbacks():
        pair = [method(name), BackupAndRestore(folder)]
        return pair[::-1] if is_first else pair

    with pytest.raises(KeyboardInterrupt):
        model.fit(data(), epochs=2, verbose=0, callbacks=[*callbacks(), Kill()])
    model = model_for(callback)
    model.fit(data(), epochs=2, verbose=0, callbacks=callbacks())
    check(model, expected)


def kill_and_load(model, callback, file, epochs=2):
    with pytest.raises(KeyboardInterrupt):
        model.fit(data(), epochs=epochs, verbose=0, callbacks=[callback, Kill(file)])
    return keras.models.load_model(file)


def test_granet_goes_on_at_its_sparsity(tmp_path):
    options = {"end_step": 6}
    model = kill_and_load(mlp(sparsity=None), method("GraNet", **options), tmp_path / "m.keras")
    masks = tf_pai.get_masks(model)
    assert tf_pai.sparsity(model) > 0.9  # of whole numbers of weights
    for callback in (method("GraNet", **options), method("GraNet")):
        model.fit(data(), initial_epoch=1, epochs=2, verbose=0, callbacks=[callback])
        assert sum(map(np.sum, tf_pai.get_masks(model).values())) == sum(map(np.sum, masks.values()))


def test_dns_goes_on_by_the_threshold_that_it_began_with(tmp_path):
    make = lambda: DNS(update_every=2, end_step=14, seed=1)  # noqa: E731
    expected = mlp(keras.optimizers.SGD(0.5), sparsity=None)
    callback = make()
    expected.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    assert callback.threshold is None
    model = kill_and_load(mlp(keras.optimizers.SGD(0.5), sparsity=None), make(), tmp_path / "m.keras")
    model.fit(data(), initial_epoch=1, epochs=2, verbose=0, callbacks=[make()])
    check(model, expected)


def test_the_end_is_the_same_where_steps_go_on_over_epochs(tmp_path):
    ends = []
    model = mlp(keras.optimizers.Adam(gradient_accumulation_steps=2))
    for first in (0, 2):
        callback = RigL(update_every=2, seed=1)
        model.fit(data().take(3), initial_epoch=first, epochs=2 + first, verbose=0, callbacks=[callback])
        ends.append(callback.schedule.end)
    assert ends == [2, 4]  # 75 % of 3 steps, and of 6


def test_masking_of_gradients_is_no_part_of_what_is_saved_while_it_is_off(tmp_path):
    model = kill_and_load(mlp(), method("SNFS"), tmp_path / "m.keras")
    assert all(layer.mask_gradients for layer in prunable_layers(model).values())


@pytest.mark.parametrize("name", ["DeepR", "MEST", "DNS", "TopKAST"])
def test_files_of_weights_from_the_middle_of_a_training(name, tmp_path):
    file, seen = str(tmp_path / "m.weights.h5"), {}
    model = model_for(method(name))

    def save(epoch, logs=None):
        if epoch == 0:
            model.save_weights(file)
            seen["outputs"], seen["masks"] = model(x), tf_pai.get_masks(model)

    x = next(iter(data()))[0]
    model.fit(data(), epochs=2, verbose=0, callbacks=[method(name), keras.callbacks.LambdaCallback(on_epoch_end=save)])
    model(x)
    other = mlp()
    for loaded in (model, other):
        loaded.load_weights(file)
        assert tf_pai.verify(loaded) and same(tf_pai.get_masks(loaded), seen["masks"])
        np.testing.assert_allclose(loaded(x), seen["outputs"], rtol=1e-5, atol=1e-6)
    other.fit(data(), epochs=2, verbose=0, callbacks=[method(name)])
    assert tf_pai.verify(other)
