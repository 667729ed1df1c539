"""Checks of what users bring: subclassed models, several outputs, metrics and data of every kind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.sanity.test_check import check
from tests.tickets.test_find import Refuse, find, plain_model, same
from tests.tickets.test_optimizers import subclassed
from tests.training.models import Parts, small_data
from tf_pai.layers import weights_of
from tf_pai.sanity.corrupted import corrupted

LAYERS = keras.layers
QUICK = {"epochs": 1, "rounds": 1}


def two_outputs() -> tuple[keras.Model, tuple]:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    hidden = LAYERS.Dense(4, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, {"p": LAYERS.Dense(3, name="p")(hidden), "q": LAYERS.Dense(1, name="q")(hidden)})
    losses = {"p": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "q": "mse"}
    model.compile("sgd", losses, metrics={"p": ["accuracy"], "q": ["mae"]}, run_eagerly=True)
    x, y = small_data()
    return model, (x, {"p": y, "q": x[:, :1]})


def compiled(**metrics) -> keras.Model:
    model = plain_model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True, **metrics)
    return model


def test_a_subclassed_model_is_checked_as_it_was_found():
    """It is trained in place, under the controls' masks too: in whatever order, the ticket stays what it is."""
    ticket = find(0.5, subclassed(), **QUICK)
    masks = ticket.masks
    alone = check(ticket, ("reinit",), epochs=1).findings["reinit"].figures["found"]
    verdict = check(ticket, ("shuffle", "random_ticket", "reinit"), epochs=1)
    assert all(finding.figures["found"] == alone for finding in verdict.findings.values())
    assert same(ticket.masks, masks)
    for path, variable in weights_of(ticket.model).items():
        assert np.array_equal(variable.numpy(), ticket.initial_weights[path] * masks.get(path, 1)), path


def test_a_metric_of_one_of_two_outputs():
    model, data = two_outputs()
    ticket = find(0.5, model, data=data, validation_data=data, **QUICK)
    options = {"data": data, "validation_data": data, "epochs": 1}
    verdict = check(ticket, ("reinit", "corrupted_data"), metric="p_accuracy", **options)
    assert list(verdict.findings) == ["reinit", "corrupted_data"]
    with pytest.raises(ValueError, match=r"metric='accuracy'.* The model has: q_accuracy|p_accuracy"):
        check(ticket, metric="accuracy", **options)


def mine(labels, logits):
    return keras.metrics.sparse_categorical_accuracy(labels, logits)


@pytest.mark.parametrize(
    ("metric", "metrics"),
    [
        ("mine", {"metrics": [mine]}),
        ("accuracy", {"weighted_metrics": ["accuracy"]}),
        ("own", {"metrics": [keras.metrics.SparseCategoricalAccuracy(name="own")]}),
    ],
)
def test_metrics_of_every_kind(metric, metrics):
    ticket = find(0.5, compiled(**metrics), **QUICK)
    assert check(ticket, ("reinit",), metric=metric, epochs=1).findings["reinit"].figures["seeds"] == 2


def test_a_metric_has_the_name_that_it_was_given():
    with pytest.raises(ValueError, match="metric='accuracy'.* The model has: acc"):
        check(find(0.5, compiled(metrics=["acc"]), **QUICK))


def test_validation_data_with_weights_of_the_examples():
    data = (*small_data(), np.ones(20, "float32"))
    verdict = check(find(0.5, **QUICK), ("instability",), epochs=1, data=data, validation_data=data)
    assert verdict.findings["instability"].passed is not None


def test_one_order_of_the_data_says_nothing_of_stability():
    data = tf.data.Dataset.from_tensor_slices(small_data()).batch(10)
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3)])  # nothing random in it
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    finding = check(find(0.5, model, data=data, **QUICK), ("instability",), data=data, epochs=1).findings["instability"]
    assert finding.passed is None and finding.verdict.startswith("undecided: both trainings saw the data in the same")


def test_labels_of_a_pydataset_are_shuffled():
    batches = corrupted(Parts(), seed=1)
    x, y = batches(0)[1]
    true_x, true_y = Parts()[1]
    assert np.array_equal(x, true_x) and sorted(y) == sorted(true_y) and not np.array_equal(y, true_y)
    assert np.array_equal(batches(0)[1][1], batches(5)[1][1])


def test_weights_left_dense_belong_to_the_budget():
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(20, name="big"), LAYERS.Dense(3, name="out")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    ticket = find(0.5, model, exclude="big", **QUICK)
    text = str(check(ticket, ("small_dense",), epochs=1))
    assert "dense networks of 144 weights (ticket 150)" in text  # 120 of big, 30 of the 60 of out; 9 n weights


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("compare accuracies on validation data. Received: validation_data=None", {"validation_data": None}),
        ("epochs is a number of 1 or more. Received: epochs=0", {"epochs": 0}),
        ("longer of a check is a number above 0. Received: longer=0", {"options": {"longer": 0}}),
        ("points of a check is a whole number of 3 or more. Received: points=1", {"options": {"points": 1}}),
        ("is a tuple of numbers above 0. Received: learning_rates=0.1", {"options": {"learning_rates": 0.1}}),
    ],
)
def test_wrong_arguments(text, options):
    arguments = {"data": small_data(), "validation_data": small_data(), **options}
    with pytest.raises(ValueError, match=text):
        check(find(0.5, **QUICK), "reinit", **arguments)


def test_the_dense_network_beside_a_rewound_ticket_begins_at_its_step():
    steps = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            steps.append(int(self.model.optimizer.iterations.numpy()))

    check(find(0.5, rounds=1, rewind_to=3), ("correlation",), callbacks=lambda name: [Count()])
    assert steps == [3, 3]  # of four


@pytest.mark.parametrize(
    ("check_name", "text"),
    [
        ("shuffle", "Masks of single weights are shuffled"),
        ("invert", "needs the scores that chose the masks"),
        ("corrupted_data", "found again on corrupted data"),
        ("winning", "with an initial_learning_rate is started elsewhere"),
    ],
)
def test_what_cannot_be_checked_is_said_before_anything_is_trained(check_name, text):
    drops = keras.optimizers.schedules.PiecewiseConstantDecay([10], [0.1, 0.01])
    pruned = tf_pai.prune_at_init(
        plain_model(optimizer=keras.optimizers.SGD(drops)), "magnitude", 0.5, structure="filter", seed=0, verbose=0
    )
    options = {"options": {"learning_rates": (0.1,)}, "callbacks": lambda name: [Refuse()]}
    with pytest.raises(ValueError, match=text):
        check(pruned, ("reinit", check_name), **options)
