import keras
import numpy as np
import pytest

import tf_pai
from tests.callbacks.models import data, method, mlp
from tf_pai.callbacks.flops import flops_of_training
from tf_pai.callbacks.history import MaskHistory, MaskUpdate
from tf_pai.reporting.plots import panels


def test_hand_worked():
    history = MaskHistory({"a": 10, "b": 30}, [5, 5])
    assert history.epoch_logs() == {"density": 0.25, "exploration": 0.25, "churn": 0.0}
    history.see(100, np.array([[4, 1, 6], [6, 2, 8]]))
    history.record()
    history.record()
    (update,) = history.updates
    assert update.density == {"a": 0.4, "b": 0.2} and update.total_density == 0.25
    assert update.exploration == 14 / 40 and update.churn == 3 / 10
    assert history.epoch_logs() == {"density": 0.25, "exploration": 0.35, "churn": 0.3}
    assert history.epoch_logs()["churn"] == 0.0
    for born in (3, 0):
        history.see(101, np.array([[4, born, 6], [6, 0, 8]]))
    history.record()
    assert history.updates.pop().churn == 0.0 and history.epoch_logs()["churn"] == pytest.approx(0.15)  # the mean
    other = MaskHistory({"x": 10, "y": 30}, [4, 6])
    other.set_state(history.get_state())
    assert other.start == {"x": 0.5, "y": 5 / 30}
    assert other.updates == [MaskUpdate(100, {"x": 0.4, "y": 0.2}, 0.25, 14 / 40, 3 / 10)]


def test_exploration_is_what_has_ever_been_alive():
    model, callback = mlp(), method("SET", update_every=1, decay="constant")
    ever = tf_pai.get_masks(model)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for path, mask in tf_pai.get_masks(self.model).items():
                ever[path] |= mask

    history = model.fit(data(), verbose=0, callbacks=[callback, Watch()])
    expected = sum(mask.sum() for mask in ever.values()) / sum(mask.size for mask in ever.values())
    assert history.history["exploration"] == [pytest.approx(expected)]
    assert history.history["density"] == [pytest.approx(1 - tf_pai.sparsity(model))]
    assert 0 < history.history["churn"][0] < 1


def test_a_method_that_moves_at_every_step_is_recorded_once_an_epoch():
    model, callback = mlp("sgd"), method("DeepR")
    model.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    assert [update.step for update in callback.history.updates] == [8, 12]  # the last of each epoch


def test_explored_places_stay_those_of_their_weight_when_others_are_frozen():
    model, callback = mlp(), method("SET", update_every=1, end_step=99, decay="constant")
    model.fit(data(), verbose=0, callbacks=[callback])
    before = {weight.path: e.bits() for weight, e in zip(callback.weights, callback.updater.explored, strict=True)}
    model.get_layer("a").trainable = False
    model.compile("adam", model.loss)
    callback.set_model(model)
    callback._begin(None, None)
    after = {weight.path: e.bits() for weight, e in zip(callback.weights, callback.updater.explored, strict=True)}
    assert list(after) == ["b/kernel", "c/kernel"]
    assert all(np.array_equal(before[path], bits) for path, bits in after.items())


def test_report_section_has_a_row_per_update():
    model, callback = mlp(), method("RigL")
    model.fit(data(), verbose=0, callbacks=[callback])
    tables = callback.report_section()
    assert [row["step"] for row in tables["Mask updates"]] == [2, 4, 6, 8]
    assert [row["step"] for row in tables["Density of each weight"]] == [0, 2, 4, 6, 8]
    assert set(tables["Density of each weight"][0]) == {"step", *tf_pai.get_masks(model)}
    (flops,) = tables["Training FLOPs per example"]
    assert flops["ratio"] == flops["sparse"] / flops["dense"] and 0.3 < flops["ratio"] < 0.6
    report = tf_pai.report(model)
    assert report.sections == tables and report.method == "random, then RigL"
    assert [panel.title for panel in panels(report)][-2:] == ["Mask updates", "Density of each weight"]


def test_flops_follow_the_density_over_the_steps():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, use_bias=False, name="fc")])
    half = MaskUpdate(5, {"fc/kernel": 0.5}, 0.5, 1.0, 0.0)
    flops = flops_of_training(model, {"fc/kernel": 1.0}, [half], steps=10, update_every=None)
    assert (flops["dense"], flops["sparse"]) == (3 * 210, 3 * (10 + 200 * 0.75))
    dense_gradients = flops_of_training(model, {"fc/kernel": 0.5}, [], steps=10, update_every=0)
    assert dense_gradients["sparse"] == 2 * 110 + 210


def test_tensorboard_gets_density_exploration_and_churn(tmp_path):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    model = mlp()
    model.fit(data(), verbose=0, callbacks=[method("RigL", log_dir=tmp_path)])
    (file,) = tmp_path.iterdir()
    tags = {(value.tag, event.step) for event in summary_iterator(str(file)) for value in event.summary.value}
    names = {"masks/exploration", "masks/churn", "masks/total_density"}
    names |= {f"density/{path}" for path in tf_pai.get_masks(model)}
    assert tags == {(name, step) for name in names for step in (2, 4, 6, 8)}
