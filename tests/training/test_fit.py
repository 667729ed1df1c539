"""A run that is killed and called again ends as one that is not; nothing on disk is ever lost."""

import errno
import functools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.training.models import small_data, small_model, state_of
from tf_pai.training import batches_of, checkpoint, fit

OPTIONS = {"epochs": 3, "batch_size": 8, "seed": 5}


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Stops the process, as far as the model can tell, in the middle or at the end of an epoch."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.batch):
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if self.batch is None and epoch == self.epoch:
            raise Killed


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run: tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    fit(small_model(), small_data(), folder=folder, **OPTIONS)
    return folder / checkpoint.FILE


def optimizers():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 9)
    return {
        "sgd": lambda: keras.optimizers.SGD(cosine, momentum=0.9),
        "adam": lambda: keras.optimizers.Adam(0.01),
        "ema": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
    }


@functools.cache
def unkilled(name):
    data = small_data()
    model = small_model(optimizers()[name](), ["accuracy"])
    return fit(model, data, validation_data=data, **OPTIONS).history, state_of(model)


@pytest.mark.parametrize(
    ("name", "where"),
    [("sgd", Kill(1)), ("sgd", Kill(0, 0)), ("sgd", Kill(1, 1)), ("adam", Kill(1, 1)), ("ema", Kill(1, 1))],
    ids=["sgd-end", "sgd-start", "sgd-middle", "adam-middle", "ema-middle"],
)
def test_killed_run_ends_as_an_unkilled_one(tmp_path, name, where):
    data = small_data()
    killed, again = (small_model(optimizers()[name](), ["accuracy"]) for _ in range(2))
    with pytest.raises(Killed):
        fit(killed, data, validation_data=data, folder=tmp_path, callbacks=[where], **OPTIONS)
    resumed = fit(again, data, validation_data=data, folder=tmp_path, **OPTIONS)
    history, state = unkilled(name)
    assert state_of(again) == state
    assert (resumed.history, resumed.epoch) == (history, [0, 1, 2])
    assert tf_pai.verify(again)


def test_it_is_what_one_fit_of_keras_does():
    """Same batches, so the same weights: averages (EMA) are written over them once, at the end."""
    x, y = small_data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    ours, theirs = (small_model(optimizers()["ema"]()) for _ in range(2))
    history = fit(ours, batches, epochs=3)
    expected = theirs.fit(batches, epochs=3, verbose=0)
    assert state_of(ours) == state_of(theirs)
    assert history.history == expected.history


def test_a_finished_run_is_read_not_trained(tmp_path, finished):
    shutil.copy(finished, tmp_path)
    model = small_model()
    model.train_step = lambda data: pytest.fail("trained")
    assert fit(model, small_data(), folder=tmp_path, **OPTIONS).epoch == [0, 1, 2]
    assert int(model.optimizer.iterations) == 9


def test_one_trace_for_all_epochs():
    traces = []

    class Counting(keras.Sequential):
        def train_step(self, data):
            traces.append(1)
            return super().train_step(data)

    model = Counting([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    fit(model, small_data(16), epochs=1, batch_size=8)
    first = len(traces)
    fit(model, small_data(16), epochs=4, batch_size=8)
    assert first and len(traces) == first


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 2}], ids=str)
def test_keras_own_options_work(options):
    model = small_model(**options)
    assert len(fit(model, small_data(16), **OPTIONS).history["loss"]) == 3
    assert tf_pai.verify(model)


def test_order_is_a_function_of_seed_and_epoch():
    def rows(seed, epoch):
        data = np.arange(10), np.arange(10)
        return np.concatenate([x for x, _ in batches_of(data, seed, 4)(epoch)]).tolist()

    assert rows(0, 1) == rows(0, 1)
    assert sorted(rows(0, 1)) == list(range(10))
    assert rows(0, 1) != rows(0, 2) != rows(1, 2)


def test_callbacks_begin_once_and_end_once():
    calls = []
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: calls.append("begin"), on_train_end=lambda logs: calls.append(sorted(logs))
    )
    fit(small_model(), small_data(), callbacks=[callback], **OPTIONS)
    assert calls == ["begin", ["loss"]]


def test_early_stopping_remembers_across_a_kill(tmp_path):
    def stop():
        return keras.callbacks.EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True)

    data, options = small_data(), {**OPTIONS, "epochs": 8}
    whole, killed, again = small_model(), small_model(), small_model()
    history = fit(whole, data, callbacks=[stop()], **options)
    with pytest.raises(Killed):
        fit(killed, data, callbacks=[stop(), Kill(1)], folder=tmp_path, **options)
    resumed = fit(again, data, callbacks=[stop()], folder=tmp_path, **options)
    assert resumed.epoch == history.epoch == [0, 1, 2]
    assert state_of(again) == state_of(whole)


def test_dynamic_masks_go_on(tmp_path):
    def rigl():
        return tf_pai.callbacks.RigL(update_every=2, end_step=10, seed=0)

    data, whole, again = small_data(), small_model(), small_model()
    fit(whole, data, callbacks=[rigl()], **OPTIONS)
    with pytest.raises(Killed):
        fit(small_model(), data, callbacks=[rigl(), Kill(1, batch=1)], folder=tmp_path, **OPTIONS)
    fit(again, data, callbacks=[rigl()], folder=tmp_path, **OPTIONS)
    assert state_of(again) == state_of(whole)


class Counter(keras.callbacks.Callback):
    """A callback with a state of its own."""

    def __init__(self):
        super().__init__()
        self.seen, self.sums = 0, np.zeros(2)

    def on_epoch_end(self, epoch, logs=None):
        self.seen, self.sums = self.seen + 1, self.sums + 1.5

    def get_state(self):
        return {"seen": self.seen, "sums": self.sums}

    def set_state(self, state):
        self.seen, self.sums = state["seen"], state["sums"]


def test_callbacks_own_state(tmp_path):
    with pytest.raises(Killed):
        fit(small_model(), small_data(), callbacks=[Counter(), Kill(1, batch=0)], folder=tmp_path, **OPTIONS)
    counter = Counter()
    fit(small_model(), small_data(), callbacks=[counter], folder=tmp_path, **OPTIONS)
    assert counter.seen == 3 and counter.sums.tolist() == [4.5, 4.5]


def test_truncated_checkpoint_says_so_and_stays(tmp_path, finished):
    model, whole, file = small_model(), finished.read_bytes(), tmp_path / checkpoint.FILE
    before = state_of_model(model)
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"whole checkpoint. Received: .*, which is damaged"):
            fit(model, small_data(), folder=tmp_path, **OPTIONS)
        assert file.read_bytes() == whole[:size]
    assert state_of_model(model) == before


def state_of_model(model):
    return [np.asarray(weight).tobytes() for weight in model.weights]


def test_full_disk_says_so_and_the_run_goes_on_later(tmp_path, monkeypatch):
    data, whole = small_data(), small_model()
    fit(whole, data, **OPTIONS)
    real, calls = np.savez, []

    def full(stream, **arrays):
        calls.append(1)
        if len(calls) == 3:
            stream.write(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(stream, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"No space left.*untouched: make room and call again"):
        fit(small_model(), data, folder=tmp_path, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]
    again = small_model()
    fit(again, data, folder=tmp_path, **OPTIONS)
    assert state_of(again) == state_of(whole)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("epochs", {"epochs": 5}),
        ("seed", {"seed": 6}),
        ("batch_size", {"batch_size": 4}),
        ("optimizer.config.learning_rate", {"model": lambda: small_model(keras.optimizers.SGD(0.2, momentum=0.9))}),
        ("kept weights", {"model": lambda: small_model(pruned=False)}),
    ],
)
def test_changed_configuration_says_so_and_destroys_nothing(tmp_path, finished, key, change):
    shutil.copy(finished, tmp_path)
    before = finished.read_bytes()
    model = change.get("model", small_model)()
    options = {**OPTIONS, **{name: value for name, value in change.items() if name != "model"}}
    with pytest.raises(ValueError, match=rf"one configuration. Received: {key}="):
        fit(model, small_data(), folder=tmp_path, **options)
    assert (tmp_path / checkpoint.FILE).read_bytes() == before


def test_bfloat16_goes_to_disk_and_back(tmp_path):
    def make():
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, dtype="bfloat16")])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    first, again = make(), make()
    fit(first, small_data(), folder=tmp_path, **OPTIONS)
    fit(again, small_data(), folder=tmp_path, **OPTIONS)
    assert state_of(first) == state_of(again)


@pytest.mark.parametrize(
    ("error", "text", "make", "arguments"),
    [
        (ValueError, "which is not compiled", lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]), {}),
        (ValueError, r"epochs is a number of epochs, 0 or more. Received: epochs=-1", small_model, {"epochs": -1}),
        (TypeError, "Training data are arrays .* Received: int", small_model, {"data": 3}),
        (
            ValueError,
            r"one length, above 0. Received: lengths \[2, 3\]",
            small_model,
            {"data": (np.ones(2), np.ones(3))},
        ),
    ],
)
def test_wrong_arguments(error, text, make, arguments):
    with pytest.raises(error, match=text):
        fit(make(), **{"data": small_data(), "epochs": 1, **arguments})


def test_checkpoint_of_another_model_is_refused(finished):
    variables = [keras.Variable(np.zeros(3))]
    about, values = checkpoint.load(finished)
    with pytest.raises(ValueError, match="belongs to the model and optimizer it was made with"):
        checkpoint.restore(variables, values, finished)
    assert about["epochs"] == 3 and not np.asarray(variables[0]).any()
