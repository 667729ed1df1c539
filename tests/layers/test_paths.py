"""What weights are called, and which of them can be pruned."""

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai.layers import participating, prunable_weights, weights_of, wrap_model
from tf_pai.layers.choosing import matches
from tf_pai.testing import FAMILIES

L = keras.layers


def kernels(model):
    return list(prunable_weights(model))


@pytest.mark.parametrize("name", FAMILIES)
def test_paths_are_unique_and_the_same_for_an_equal_model(name):
    family = FAMILIES.find(name)
    model = family.build()
    paths = list(weights_of(model))
    assert len(paths) == len(set(paths)) == len({id(variable) for variable in model.weights})
    if not model.name.startswith(("sequential", "functional")):  # there, counted names are part of the configuration
        assert list(weights_of(family.build())) == paths
    assert list(weights_of(wrap_model(model, kernels(model)))) == paths


def test_nested_models_with_equal_layer_names_have_different_paths():
    assert kernels(FAMILIES.find("nested").build()) == [
        "middle/block/fc/kernel",
        "middle/block/fc2/kernel",
        "block/fc/kernel",
        "block/fc2/kernel",
        "fc/kernel",
    ]


def test_shared_layers_appear_once():
    assert kernels(FAMILIES.find("shared").build()) == ["twice/kernel", "model/inner/kernel", "head/kernel"]


def test_layers_of_a_subclassed_model_are_named_by_the_attributes_that_hold_them():
    assert kernels(FAMILIES.find("subclassed").build()) == [
        "stem/kernel",
        "stack/0/kernel",
        "stack/1/kernel",
        "branches/left/kernel",
        "inner/kernel",  # a name that the user gave
        "pair/0/kernel",
        "block/first/kernel",
        "block/rest/0/kernel",
        "block/rest/1/kernel",
        "mixer/dense/kernel",
        "mixer/dense~2/kernel",
        "head/kernel",
    ]


class Twins(keras.Model):
    """Two layers, and two variables, that the user gave the same name."""

    def __init__(self):
        super().__init__()
        self.one, self.other = L.Dense(2, name="same"), L.Dense(2, name="same")

    def build(self, shape):
        self.first = self.add_weight(shape=(2, 2), name="w")
        self.second = self.add_weight(shape=(2, 2), name="w")

    def call(self, x):
        return self.other(self.one(x)) @ self.first @ self.second


def test_equal_names_are_numbered():
    model = Twins()
    model(np.ones((1, 2), "float32"))
    assert kernels(model) == ["w", "w~2", "same/kernel", "same~2/kernel"]


def test_a_tied_weight_belongs_to_the_layer_that_made_it():
    class Tied(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = L.Embedding(5, 3)

        def build(self, shape):
            self.embedding.build(shape)
            self.output_weights = self.embedding.embeddings

        def call(self, x):
            return self.embedding(x) @ keras.ops.transpose(self.output_weights)

    model = Tied()
    model(np.ones((1, 2), "int32"))
    assert kernels(model) == ["embedding/embeddings"]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Dense(2), (3,), ["kernel"]),
        (L.BatchNormalization(), (3, 4), []),
        (L.LayerNormalization(axis=(1, 2)), (3, 4), []),
        (L.PReLU(), (3, 4), []),
        (L.GRU(2), (3, 4), ["kernel", "recurrent_kernel"]),
        (L.SpectralNormalization(L.Dense(2, name="inner")), (3,), ["kernel"]),
        (L.Rescaling(2.0), (3,), []),
    ],
)
def test_connections_are_prunable_and_nothing_else_is(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer])
    assert [path.rpartition("/")[2] for path in kernels(model)] == expected


def test_biases_of_rank_two_are_biases():
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 3)(inputs, inputs))
    assert all(path.endswith("/kernel") for path in kernels(model)) and len(kernels(model)) == 4


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (L.Dense(5), (3,), (0, 1)),
        (L.Conv2D(5, 2), (4, 4, 3), (2, 3)),
        (L.Conv2DTranspose(5, 2), (4, 4, 3), (3, 2)),
        (L.EinsumDense("abc,cd->abd", (2, 5)), (2, 3), (0, 1)),
        (L.EinsumDense("abc,bcd->ad", (5,)), (2, 3), (1, 2)),
        (L.EinsumDense("abc,dc->abd", (2, 5)), (2, 3), (1, 0)),
        (L.Embedding(7, 5), (2,), (0, 1)),
        (L.SpectralNormalization(L.Conv2DTranspose(5, 2)), (4, 4, 3), (3, 2)),
    ],
)
def test_input_and_output_axes(layer, shape, axes):
    (weight,) = prunable_weights(keras.Sequential([keras.Input(shape), layer])).values()
    assert (weight.input_axis, weight.output_axis) == axes


@pytest.mark.parametrize(
    ("pattern", "hits"),
    [("fc", 1), ("fc/kernel", 1), ("*", 5), ("block/*", 2), ("*fc", 3), ("middle/*/fc?", 1), ("*/kernel", 5)],
)
def test_patterns(pattern, hits):
    paths = kernels(FAMILIES.find("nested").build())
    assert sum(matches(path, pattern) for path in paths) == hits


def test_include_and_exclude():
    model = FAMILIES.find("nested").build()
    assert list(participating(model, include=["block/*", "fc"], exclude="*/fc2")) == ["block/fc/kernel", "fc/kernel"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"include": "blok/fc"},
            r"Each pattern of include= matches a weight\. Received: 'blok/fc', .* Did you mean 'b",
        ),
        ({"exclude": ["fc", "nothing*"]}, r"Each pattern of exclude= matches a weight\. Received: 'nothing\*'"),
        ({"exclude": "*"}, r"needs prunable weights.* Received: Functional '\w+' with none after include and exclude"),
    ],
)
def test_wrong_patterns(arguments, message):
    with pytest.raises(ValueError, match=message):
        participating(FAMILIES.find("nested").build(), **arguments)


def test_a_model_without_prunable_weights():
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization()])
    with pytest.raises(ValueError, match=r"Received: Sequential '\w+' with none\. Is the model built, and trainable\?"):
        participating(model)


def test_unnamed_variables_are_called_the_same_in_every_copy():
    class Unnamed(keras.layers.Layer):
        def build(self, shape):
            self.first = self.add_weight(shape=(shape[-1], 3))
            self.second = self.add_weight(shape=(3, 2))

        def call(self, x):
            return x @ self.first @ self.second

    def model():
        return keras.Sequential([keras.Input((4,)), Unnamed(name="own")])

    assert list(weights_of(model())) == list(weights_of(model())) == ["own/variable", "own/variable~2"]
    pruned = tf_pai.prune_at_init(model(), "magnitude", 0.5)
    plain = tf_pai.strip(pruned)
    assert sum(int((w.numpy() != 0).sum()) for w in plain.weights) == 9
