import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import SETTINGS, data, method, mlp
from tf_pai.callbacks import ACDC, DNS, DSR, MEST, SET, SNFS, DeepR, GraNet, RigL, TopKAST

RIGL = {"update_every": 2, "end_step": 8}


def fit(callback, model=None, **options):
    model = mlp() if model is None else model
    before = model.get_weights()
    try:
        model.fit(data(), verbose=0, callbacks=callback, **options)
    finally:
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    "callback, message",
    [
        (RigL(update_every=0, end_step=8), "update_every is at least one step. Received: update_every=0"),
        (RigL(update_every=-5, end_step=8), "Received: update_every=-5, which is negative"),
        (RigL(update_every="often", end_step=8), "update_every is a number of steps.*Received: update_every='often'"),
        (RigL(begin_step=10, end_step=5), "end_step comes after begin_step. Received: end_step=5 and begin_step=10"),
        (RigL(end_step=0), "end_step comes after begin_step. Received: end_step=0"),
        (RigL(drop_fraction=0.0, **RIGL), r"drop_fraction lies in \(0, 1\). Received: drop_fraction=0.0"),
        (RigL(drop_fraction=1.0, **RIGL), "Received: drop_fraction=1.0"),
        (RigL(drop_fraction=-0.3, **RIGL), "Received: drop_fraction=-0.3"),
        (SET(drop_fraction="much", **RIGL), "Received: drop_fraction='much'"),
        (RigL(final_fraction=0.5, **RIGL), "final_fraction lies between 0 and drop_fraction"),
        (RigL(decay="cosinus", **RIGL), "Unknown decay of the drop fraction. Received: 'cosinus'. Did you mean"),
        (RigL(rounding="flor", **RIGL), "rounding is one of.*Received: rounding='flor'. Did you mean 'floor'"),
        (DSR(threshold=0, **RIGL), "threshold is above 0. Received: threshold=0"),
        (MEST(growth="best", **RIGL), "Received: growth='best'"),
        (DeepR(temperature=-1, end_step=8), "temperature is a number, 0 or more. Received: temperature=-1"),
        (DeepR(update_every=0, end_step=8), "Received: update_every=0"),
        (DeepR(l1="x", end_step=8), "l1 is a number, 0 or more. Received: l1='x'"),
        (RigL(seed=-1, **RIGL), "seed is a whole number, 0 or more. Received: seed=-1"),
        (RigL(final_fraction="x", **RIGL), "final_fraction lies between 0 and drop_fraction. Received: .*'x'"),
        (DSR(tolerance=-1, **RIGL), "tolerance is a number, 0 or more. Received: tolerance=-1"),
        (MEST(importance=-1, **RIGL), "importance is a number, 0 or more. Received: importance=-1"),
        (TopKAST(sparsity=0.5, exploration_strength=-1, **RIGL), "exploration_strength is a number, 0 or more"),
        (DNS(sparsity=0.5, gamma=-1, **RIGL), "gamma is a number, 0 or more. Received: gamma=-1"),
        (DNS(sparsity=0.5, hysteresis=1.0, **RIGL), r"hysteresis is \(a, b\).*Received: hysteresis=1.0"),
        (DNS(threshold="x", **RIGL), "threshold is a number, of standard deviations. Received: threshold='x'"),
        (GraNet(sparsity=0.9, initial_sparsity=None, **RIGL), "initial_sparsity lies between 0 and sparsity"),
        (DNS(sparsity=1.5, **RIGL), r"DNS prunes to a sparsity in \(0, 1\). Received: sparsity=1.5"),
        (DNS(sparsity=0.5, threshold=1.0, **RIGL), "DNS takes a sparsity or a threshold"),
        (DNS(sparsity=0.5, hysteresis=(1.1, 0.9), **RIGL), r"hysteresis is \(a, b\)"),
        (TopKAST(sparsity=0.5, backward_sparsity=0.6, **RIGL), "backward_sparsity lies between 0 and the sparsity"),
        (GraNet(**RIGL), r"GraNet prunes to a sparsity in \(0, 1\). Received: sparsity=None"),
        (GraNet(sparsity=0.5, initial_sparsity=0.6, **RIGL), "initial_sparsity lies between 0 and sparsity"),
        (GraNet(sparsity=0.6, initial_sparsity=0.1, **RIGL), "GraNet prunes a model further. Received: a"),
        (ACDC(begin_step=1, **RIGL), "ACDC prunes to a sparsity"),
        (RigL(decay=["x"], **RIGL), r"decay is one of .*Received: decay=\['x'\]"),
        (RigL(rounding=[], **RIGL), r"rounding is one of.*Received: rounding=\[\]"),
        (RigL(train_on_update="no", **RIGL), "train_on_update is True or False. Received: train_on_update='no'"),
        (MEST(soft_bound="no", **RIGL), "soft_bound is True or False. Received: soft_bound='no'"),
    ],
)  # fmt: skip
def test_arguments_are_refused_before_the_first_step(callback, message):
    with pytest.raises(ValueError, match=message):
        fit([callback])


@pytest.mark.parametrize("name", [name for name in SETTINGS if not method(name).starts_dense])
def test_an_unpruned_model_is_refused(name):
    with pytest.raises(
        ValueError, match=r"keeps a model sparse that is so from the start. Received: an unpruned model"
    ):
        fit([method(name)], mlp(sparsity=None))


def test_an_unpruned_model_needs_a_sparsity():
    model = mlp(sparsity=None)
    with pytest.raises(ValueError, match="TopKAST prunes to a sparsity"):
        fit([TopKAST(**RIGL)], model)
    assert tf_pai.get_masks(model) == {}


def test_patterns_are_text():
    with pytest.raises(ValueError, match=r"include= is a pattern, or several. Received: include=5"):
        fit([DNS(sparsity=0.5, include=5, **RIGL)], mlp(sparsity=None))


def test_a_learning_rate_is_needed():
    model = tf_pai.prune_at_init(keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]), "random", 0.5)
    with pytest.raises(ValueError, match=r"DeepR reads the optimizer's learning rate. Received: a model without an"):
        DeepR(end_step=4).begin(model)


def used(sparsity):
    """A model whose optimizer has taken eight steps."""
    model = mlp(sparsity=sparsity)
    model.fit(data(), verbose=0)
    return model


@pytest.mark.parametrize("name", ["GraNet", "ACDC", "DNS"])
def test_a_schedule_that_is_over_leaves_no_model_dense(name):
    model = used(None)
    with pytest.raises(ValueError, match=r"prunes until end_step. Received: end_step=8 and an optimizer that has"):
        model.fit(data(), verbose=0, callbacks=[method(name, end_step=8)])
    assert tf_pai.get_masks(model) == {}


def test_a_schedule_that_is_over_says_so():
    with pytest.warns(UserWarning, match=r"SET moves no mask any more: its end_step is 8, and the optimizer has"):
        used(0.7).fit(data(), verbose=0, callbacks=[method("SET", end_step=8)])


def test_best_weights_of_before_the_last_update_say_so():
    model = mlp(sparsity=None)
    best = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
    with pytest.warns(UserWarning, match=r"GraNet\(sparsity=0.9\) ends at a sparsity of 0\.\d+: training stopped"):
        model.fit(data(), epochs=2, verbose=0, callbacks=[method("GraNet"), best])
    assert best.best_epoch == 0


def test_two_callbacks_on_one_model_are_refused():
    with pytest.raises(ValueError, match=r"One callback moves the masks of a model. Received: RigL and SET"):
        fit([RigL(**RIGL), SET(**RIGL)])


def test_two_callbacks_in_one_loop_are_refused():
    model, (x, y) = mlp(), next(iter(data()))
    callbacks = [RigL(**RIGL), SET(**RIGL)]
    for callback in callbacks:
        callback.set_model(model)
    callbacks[1].step(x, y)
    with pytest.raises(ValueError, match=r"Received: RigL and SET for the same model"):
        callbacks[0].step(x, y)


def test_a_model_without_a_weight_to_train_is_refused():
    model = mlp()
    model.trainable = False
    with pytest.raises(ValueError, match=r"RigL moves the masks of weights that are trained. Received: a model of"):
        fit([RigL(**RIGL)], model)


def test_a_schedule_without_an_update_says_so():
    with pytest.warns(UserWarning, match="RigL will not move any mask: the first update falls after step 100, the las"):
        mlp().fit(data(), verbose=0, callbacks=[RigL(update_every=100)])


def test_one_after_the_other_is_fine():
    model = mlp()
    for callback in (RigL(**RIGL), SET(update_every=2, end_step=16)):
        model.fit(data(), verbose=0, callbacks=[callback])
    assert tf_pai.verify(model)


def test_training_of_unknown_length_needs_an_end():
    model = mlp()
    endless = data().repeat()
    with pytest.raises(ValueError, match="divides the training where its length is known"):
        model.fit(endless.filter(lambda x, y: True), steps_per_epoch=None, verbose=0, callbacks=[RigL(update_every=2)])


@pytest.mark.parametrize("compute", ["masked", "sparse"])
def test_structured_masks_are_refused_of_loaded_models_too(compute, tmp_path):
    model = tf_pai.prune_at_init(mlp(sparsity=None), "magnitude", structure="2:4", compute=compute)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for structured in (model, loaded, tf_pai.to_dense(loaded)):
        with pytest.raises(ValueError, match=r"RigL moves single weights. Received: a model pruned with structure 2:4"):
            fit([RigL(**RIGL)], structured)


def test_sparse_compute_is_refused():
    model = tf_pai.to_sparse(mlp())
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"Received: a model that holds the kept ones only. Call tf_pai.to_dense"):
        fit([SNFS(**RIGL)], model)


def test_a_loop_says_which_model_it_trains():
    with pytest.raises(ValueError, match=r"RigL.step works on a model. Received: none. Call callback.begin"):
        RigL(**RIGL).step(np.zeros((1, 8)), np.zeros(1))
    callback = RigL(update_every=1, end_step=8)
    callback.set_model("model")
    with pytest.raises(ValueError, match=r"RigL works on a built Keras model. Received: str. Build it first."):
        callback.step(np.zeros((1, 8)), np.zeros(1))
    callback.set_model(mlp())
    with pytest.raises(ValueError, match=r"RigL reads the gradient of the batch's loss. Received: y=None. Call step"):
        callback.step(np.zeros((1, 8)))
    callback = RigL(update_every=2)
    callback.set_model(mlp())
    with pytest.raises(ValueError, match=r"training of unknown length. Pass end_step="):
        callback.step(np.zeros((1, 8)), np.zeros(1))


def fit_own_step(train_step, callback):
    kind = type("OwnStep", (keras.Sequential,), {"train_step": train_step})
    model = kind([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data(), verbose=0, callbacks=[callback])


@pytest.mark.parametrize("callback", [SET(update_every=4, end_step=8), RigL(update_every=1, end_step=8)])
def test_a_train_step_that_updates_twice_says_so(callback):
    def twice(self, batch):
        keras.Sequential.train_step(self, batch)
        return keras.Sequential.train_step(self, batch)

    with pytest.raises(ValueError, match=r"counts one update of the weights per batch in fit. Received: 2 of them"):
        fit_own_step(twice, callback)


def test_gradients_that_are_handed_over_in_a_branch_say_so():
    def in_a_branch(self, batch):
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=batch[1], y_pred=self(batch[0], training=True))
        gradients = tape.gradient(loss, self.trainable_variables)

        def apply():
            self.optimizer.apply(gradients, self.trainable_variables)
            return loss

        return {"loss": tf.cond(tf.math.is_finite(loss), apply, lambda: loss)}

    with pytest.raises(ValueError, match=r"calls optimizer.apply in any case. Received: one that calls it in"):
        fit_own_step(in_a_branch, RigL(update_every=2, end_step=4))


@pytest.mark.parametrize("name", ["RigL", "SNFS", "DNS"])
def test_a_layer_that_is_traced_for_itself_says_so(name):
    class Traced(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = keras.layers.Dense(4), keras.layers.Dense(2)

        @tf.function
        def call(self, x):
            return self.last(self.first(x))

    model = Traced()
    model(np.zeros((1, 8), "float32"))
    model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"by tracing layers anew. Received: Traced.call, a tf.function. Take its"):
        model.fit(data(), verbose=0, callbacks=[method(name)])


def test_a_train_step_without_the_models_optimizer_says_so():
    class OwnWay(keras.Sequential):
        def train_step(self, data):
            return {"loss": keras.ops.sum(self(data[0]))}

    model = OwnWay([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"hands its gradients to model.optimizer.*callback.step\(x, y\)"):
        model.fit(data(), verbose=0, callbacks=[RigL(update_every=1, end_step=4)])
