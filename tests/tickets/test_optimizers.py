"""Optimizers of a search: each training begins with a new one, of the same kind and at its own step."""

import keras
import numpy as np
import pytest

from tests.tickets.test_find import find, plain_model
from tests.training.models import small_data
from tf_pai.layers import weights_of
from tf_pai.tickets import Bench, Routine

LAYERS = keras.layers


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = LAYERS.Dense(8, activation="relu"), LAYERS.Dense(3)

    def call(self, x):
        return self.two(self.one(x))


def subclassed(optimizer=None) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = Subclassed()
    model(np.zeros((1, 6), "float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], run_eagerly=True)
    return model


@pytest.mark.parametrize("method", ["lth_plus", "dlth", "early_bird"])
def test_gradients_that_are_gathered(method):
    """Two batches make an update: steps are batches, as the learning rate counts them."""
    options = {"options": {"every": "1ep", "window": 2, "distance": -1}} if method == "early_bird" else {"rounds": 1}
    model = plain_model(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    ticket = find(0.5, model, method=method, **options)
    assert int(ticket.model.optimizer._iterations.numpy()) == ticket.step == (2 if method == "lth_plus" else 0)
    if method == "early_bird":
        assert [level["step"] for level in ticket.history] == [2, 4]


def test_averages_of_a_rewound_ticket_begin_at_its_weights():
    """As they do at a first step; from zeros, the averaged weights would be near zero for a long time."""
    model = plain_model(optimizer=keras.optimizers.SGD(0.0, use_ema=True, ema_momentum=0.99))
    ticket = find(0.5, model, rounds=1, rewind_to="1it")
    before = weights_of(ticket.model)["one/kernel"].numpy()
    ticket.model.fit(*small_data(), batch_size=10, verbose=0)
    assert np.allclose(weights_of(ticket.model)["one/kernel"].numpy(), before, atol=1e-6)


def test_two_benches_on_one_subclassed_model():
    model, routine = subclassed(), Routine(small_data(), 1, None, 10)
    first = Bench(model, routine, [])
    second = Bench(model, routine, [])
    second.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 4)))
    first.reset(first.values(), {})
    assert float(first.model.optimizer.learning_rate) == pytest.approx(0.1)


def test_a_ticket_of_a_subclassed_model_keeps_its_schedule():
    ticket = find(
        0.5, subclassed(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 40))), method="prac", rounds=2
    )
    assert ticket.model.optimizer._learning_rate.decay_steps == 40


@pytest.mark.parametrize("method", ["lth", "prac"])
def test_weights_excluded_from_weight_decay_stay_so(method):
    optimizer = keras.optimizers.AdamW(0.0001, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    ticket = find(0.5, plain_model(optimizer=optimizer), method=method, rounds=2)
    decayed = [w.name for w in ticket.model.trainable_variables if ticket.model.optimizer._use_weight_decay(w)]
    assert decayed == ["kernel", "kernel"]


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A user's own schedule, which Keras does not find by its name."""

    def __call__(self, step):
        return 0.1 / (1 + keras.ops.cast(step, "float32"))

    def get_config(self):
        return {}


@pytest.mark.parametrize("scaled", [False, True])
def test_a_schedule_of_the_users_own(scaled):
    optimizer = keras.optimizers.SGD(Falling())
    model = plain_model(optimizer=keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
    ticket = find(0.5, model, rounds=1, rewind_to="1it")
    assert float(ticket.model.optimizer.learning_rate) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="can be stretched. Received: Falling with none"):
        find(0.5, model, method="prac", rounds=2)


@pytest.mark.parametrize("method", ["dlth", "early_bird", "lth"])
def test_a_rate_that_callbacks_lowered_is_the_compiled_one_again(method):
    lower = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-5)
    options = {"every": "1it"} if method == "early_bird" else {}
    ticket = find(0.5, method=method, rounds=1, callbacks=lambda name: [lower], options=options)
    assert float(ticket.model.optimizer.learning_rate) == pytest.approx(0.1)
