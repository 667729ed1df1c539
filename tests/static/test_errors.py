"""Wrong input to prune_at_init: an error that says the rule, what came, and what to do, before anything is changed."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai

L = keras.layers
X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
Y = np.arange(6) % 3


class Subclassed(keras.Model):
    """A model that is pruned in place, and so shows whether anything was changed before an error."""

    def __init__(self):
        super().__init__()
        self.fc = L.Dense(3, name="fc")
        self.out = L.Dense(3, name="out")

    def call(self, x):
        return self.out(self.fc(x))


@pytest.fixture
def model():
    made = Subclassed()
    made(X)
    made.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def refused(model, message, *arguments, error=ValueError, **options):
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(error, match=message):
        tf_pai.prune_at_init(model, *arguments, **options)
    assert all((a == b.numpy()).all() for a, b in zip(before, model.variables, strict=True))
    assert tf_pai.get_masks(model) == {}


@pytest.mark.parametrize("sparsity", [1, 1.0, -0.1, 2, float("nan"), "0.5", True, [0.5]])
def test_sparsity_outside_its_range(model, sparsity):
    refused(model, r"A sparsity is a number in \[0, 1\), the fraction removed. Received: sparsity=", "snip", sparsity)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grsap", r"Unknown method. Received: 'grsap'. Did you mean 'grasp'\? Valid names: .*snip"),
        ("SNIP", r"Received: 'SNIP'. Did you mean 'snip'\?"),
        ("phoo", "Unknown method. Received: 'phoo'"),
    ],
)
def test_unknown_and_misspelt_methods(model, name, message):
    refused(model, message, name, 0.5)


def test_a_method_that_is_no_method(model):
    refused(model, "A method is a registered name or a criterion object.*Received: 7", 7, 0.5, error=TypeError)
    with pytest.raises(TypeError, match="Received: <class"):
        tf_pai.prune_at_init(model, tf_pai.criteria.SNIP, 0.5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y + 1, r"Labels lie in \[0, 3\) for a model of 3 outputs. Received: labels from 1 to 3"),
        (Y - 1, r"Received: labels from -1 to 1"),
        (Y + 0.5, "takes integer labels. Received: labels of type float64"),
        (np.eye(3)[Y], "takes one class index per output row.*loss='categorical_crossentropy'"),
        (Y[:4], r"Inputs and labels have the same number of examples. Received: \[4, 6\]"),
        (None, "SNIP needs labels. Received: y=None"),
    ],
)
def test_labels_that_do_not_fit(model, labels, message):
    refused(model, message, "snip", 0.5, data=(X, labels))


def test_labels_that_do_not_fit_another_loss(model):
    message = r"categorical_crossentropy takes labels of the outputs' shape, \(6, 3\). Received: \(6,\)"
    refused(model, message, "snip", 0.5, data=(X, Y), loss="categorical_crossentropy")
    message = r"mean_squared_error takes labels of the outputs' shape.*Received: \(6, 2\)"
    refused(model, message, "snip", 0.5, data=(X, np.zeros((6, 2))), loss=keras.losses.MeanSquaredError())


def test_a_misspelt_loss(model):
    refused(model, r"Received: loss='msee'. Did you mean 'mse'\?", "snip", 0.5, data=(X, Y), loss="msee")


def test_labels_of_several_outputs():
    inputs = keras.Input((4,))
    two = keras.Model(inputs, [L.Dense(3)(inputs), L.Dense(2)(inputs)])
    refused(
        two, "Each output has its labels. Received: 1 label arrays for 2 outputs", "snip", 0.5, data=(X, Y), loss="mse"
    )


@pytest.mark.parametrize("method", ["snip", "grasp", "prospr", "obd", "force"])
def test_nan_scores(model, method):
    refused(model, "A score is a number. Received: NaN from", method, 0.5, data=(X * np.nan, Y))


def test_nan_weights(model):
    model.fc.kernel.assign(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"A score is a number. Received: NaN from Magnitude for 'fc/kernel'"):
        tf_pai.prune_at_init(model, "magnitude", 0.5)


@pytest.mark.parametrize("make", [Subclassed, lambda: keras.Sequential([L.Dense(3)])])
def test_an_unbuilt_model(make):
    with pytest.raises(ValueError, match=r"A model is built before it is pruned. Received: .* without weights"):
        tf_pai.prune_at_init(make(), "magnitude", 0.5)


@pytest.mark.parametrize("thing", [None, "lenet", L.Dense(3), np.zeros(3)])
def test_no_model(thing):
    with pytest.raises(TypeError, match=r"tf_pai prunes Keras 3 models. Received"):
        tf_pai.prune_at_init(thing, "magnitude", 0.5)


def test_a_model_with_nothing_to_prune():
    plain = keras.Sequential([keras.Input((4,)), L.BatchNormalization()])
    with pytest.raises(ValueError, match="Pruning needs prunable weights: trainable float variables of rank 2 or more"):
        tf_pai.prune_at_init(plain, "magnitude", 0.5)


def test_a_tf_keras_model():
    tf_keras = pytest.importorskip("tf_keras")
    old = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))])
    with pytest.raises(TypeError, match=r"Received: a tf_keras \(Keras 2\) model. Rebuild it with `import keras`"):
        tf_pai.prune_at_init(old, "magnitude", 0.5)


def test_another_backend_of_keras():
    """In a process of its own: a process has one backend."""
    code = "import os; os.environ['KERAS_BACKEND'] = 'numpy'; import tf_pai"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: tf_pai runs on Keras' TensorFlow backend. Received: backend 'numpy'" in run.stderr


def dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            tf.data.Dataset.from_tensor_slices((X[:0], Y[:0])).batch(2),
            "data holds at least one batch. Received: an empty",
        ),
        ((X[:0], Y[:0]), "data holds at least one example. Received: none"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2), r"A batch is \(x, y\) or \(x, y, sample_weight\). Received"),
    ],
)
def test_data_without_examples_or_labels(model, data, message):
    refused(model, message, "snip", 0.5, data=data)


@pytest.mark.parametrize("data", [X, iter([(X, Y)]), "mnist", {"x": X}])
def test_data_of_another_type(model, data):
    refused(model, "data is a tf.data.Dataset or keras.utils.PyDataset", "snip", 0.5, data=data, error=TypeError)


def test_data_as_nested_lists(model):
    message = r"one row per example. Received: numbers, or lists of them. Pass numpy.asarray"
    refused(model, message, "snip", 0.5, data=(X.tolist(), Y.tolist()), error=TypeError)


@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_a_pattern_that_matches_nothing(model, argument):
    message = rf"Each pattern of {argument}= matches a weight. Received: 'conv\*', which matches none"
    refused(model, message, "snip", 0.5, **{argument: "conv*"})


def test_patterns_that_leave_nothing(model):
    refused(model, "with none after include and exclude", "snip", 0.5, exclude="*")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "A seed is an integer, 0 or more. Received: seed=-1"),
        ({"seed": 0.5}, "Received: seed=0.5"),
        ({"batches": 0}, "At least one batch is scored. Received: batches=0"),
        ({"min_keep": -1}, "min_keep is a number of weights, 0 or more. Received: min_keep=-1"),
        ({"min_keep": 8}, "min_keep=8 in each of 2 weights needs 16 weights. Received: a sparsity that keeps 10"),
        ({"compute": "sparce"}, "Received: compute='sparce'"),
        ({"schedule": "iterative:0"}, "at least one round. Received: rounds=0"),
        ({"distribution": {"fc": 1.0}}, r"A sparsity lies in \[0, 1\). Received: 1.0 for 'fc'"),
    ],
)
def test_other_options(model, options, message):
    refused(model, message, "snip", 0.5, data=(X, Y), **options)


def test_a_pruned_model_is_not_pruned_less(model):
    tf_pai.prune_at_init(model, "magnitude", 0.8)
    masks = tf_pai.get_masks(model)
    with pytest.raises(ValueError, match=r"A pruned model is pruned further, never less. Received: sparsity=0.5"):
        tf_pai.prune_at_init(model, "magnitude", 0.5)
    assert all((mask == masks[path]).all() for path, mask in tf_pai.get_masks(model).items())
