"""FLOPs: small layers by hand, ResNet-50 against the counts of RigL's authors."""

import json
import math

import keras
import numpy as np
import pytest

import tf_pai
from tests.support import shared_path
from tf_pai.analysis import count_flops, stored_bytes, training_flops
from tf_pai.analysis.flops import UNKNOWN, UNKNOWN_LENGTH
from tf_pai.callbacks.flops import flops_of_training
from tf_pai.callbacks.history import MaskUpdate

L = keras.layers

# (layer, input shape, FLOPs per example): 2 per weight and use, 1 per output
CASES = {
    "dense": (L.Dense(3), (4,), 2 * 4 * 3 + 3),
    "dense over 5 places": (L.Dense(3), (5, 4), 5 * (2 * 4 * 3 + 3)),
    "conv1d causal": (L.Conv1D(2, 3, padding="causal"), (6, 4), 6 * (2 * 3 * 4 * 2 + 2)),
    "conv2d valid": (L.Conv2D(8, 3), (6, 6, 2), 4 * 4 * (2 * 9 * 2 * 8 + 8)),
    "conv2d strided": (L.Conv2D(8, 3, strides=2, padding="same"), (6, 6, 2), 3 * 3 * (2 * 9 * 2 * 8 + 8)),
    "conv2d dilated": (L.Conv2D(8, 3, dilation_rate=2), (6, 6, 2), 2 * 2 * (2 * 9 * 2 * 8 + 8)),
    "conv2d in 2 groups": (L.Conv2D(8, 3, groups=2), (6, 6, 4), 4 * 4 * (2 * 9 * 2 * 8 + 8)),
    "conv3d": (L.Conv3D(2, 2), (3, 3, 3, 1), 8 * (2 * 8 * 1 * 2 + 2)),
    "transposed": (L.Conv2DTranspose(3, 2, strides=2), (4, 4, 5), 4 * 4 * 2 * 4 * 5 * 3 + 8 * 8 * 3),
    "depthwise": (L.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 4), 3 * 3 * (2 * 9 * 8 + 8)),
    "separable": (L.SeparableConv2D(6, 3), (5, 5, 4), 9 * (2 * 9 * 4 + 4) + 9 * (2 * 4 * 6 + 6)),
    "einsum": (L.EinsumDense("abc,cde->abde", (7, 3, 5)), (7, 4), 7 * (2 * 4 * 15 + 15)),
    "einsum with dots": (L.EinsumDense("...x,xy->...y", 5), (7, 4), 7 * (2 * 4 * 5 + 5)),
    "lstm": (L.LSTM(3), (5, 2), 5 * (2 * (2 + 3) * 12 + 12)),
    "gru": (L.GRU(3, return_sequences=True), (5, 2), 5 * (2 * (2 + 3) * 9 + 9)),
    "simple rnn": (L.SimpleRNN(3), (5, 2), 5 * (2 * (2 + 3) * 3 + 3)),
    "stacked cells": (L.RNN([L.LSTMCell(3), L.SimpleRNNCell(2)]), (5, 2), 5 * (132 + 2 * (3 + 2) * 2 + 2)),
    "conv lstm": (L.ConvLSTM2D(2, 3, padding="same"), (4, 5, 5, 1), 4 * 25 * (2 * 9 * (1 + 2) * 8 + 8)),
    "bidirectional": (L.Bidirectional(L.LSTM(3)), (5, 2), 2 * 5 * (2 * 5 * 12 + 12)),
    "time distributed": (L.TimeDistributed(L.Conv2D(2, 3)), (4, 5, 5, 1), 4 * 9 * (2 * 9 * 2 + 2)),
    "no weights": (L.MaxPooling2D(), (4, 4, 2), 0),
    "normalisation": (L.BatchNormalization(), (4,), 0),
}


def _model(layer, shape):
    return keras.Sequential([keras.Input(shape), type(layer).from_config(layer.get_config())])


@pytest.mark.parametrize("case", CASES)
def test_one_layer_by_hand(case):
    layer, shape, expected = CASES[case]
    flops = count_flops(_model(layer, shape))
    assert flops.dense == flops.sparse == expected
    assert not flops.notes and not any(of_layer.note for of_layer in flops.layers.values())


def test_channels_first_counts_the_same_places():
    inputs = keras.Input((2, 6, 6))
    model = keras.Model(inputs, L.Conv2D(8, 3, data_format="channels_first", name="conv")(inputs))
    assert count_flops(model).dense == 4 * 4 * (2 * 9 * 2 * 8 + 8)


def test_embedding_is_free_and_variable_lengths_are_noted():
    model = keras.Sequential([keras.Input((None,), dtype="int32"), L.Embedding(9, 4, name="e"), L.LSTM(3, name="l")])
    flops = count_flops(model)
    assert flops.layers["e"].dense == 0
    assert flops.layers["l"].dense == 2 * (4 + 3) * 12 + 12
    assert flops.layers["l"].note == UNKNOWN_LENGTH


def test_attention_counts_projections_and_products():
    queries, values = keras.Input((5, 8)), keras.Input((7, 6))
    attention = L.MultiHeadAttention(2, key_dim=3, value_dim=4, name="mha")
    model = keras.Model([queries, values], attention(value=values, query=queries))
    query, key, value, output = (5 * (2 * 8 * 6 + 6), 7 * (2 * 6 * 6 + 6), 7 * (2 * 6 * 8 + 8), 5 * (2 * 8 * 8 + 8))
    products = 2 * 5 * 7 * 2 * (3 + 4)
    flops = count_flops(model)
    assert flops.dense == query + key + value + output + products
    assert list(flops.layers) == ["mha"]


def test_masks_leave_the_kept_weights_only():
    model = keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(2, 3, name="conv"), L.Flatten(), L.Dense(2, name="fc")])
    mask = np.zeros((3, 3, 1, 2), bool)
    mask[0, 0] = True  # 2 of 18 weights, each at 4 places
    model = tf_pai.set_masks(model, {"conv/kernel": mask})
    flops = count_flops(model)
    assert flops.layers["conv"].sparse == 2 * 2 * 4 + 8
    assert flops.layers["fc"].sparse == flops.layers["fc"].dense == 2 * 8 * 2 + 2
    assert flops.by_weight() == {"conv/kernel": (2 * 18 * 4 + 8, 24), "fc/kernel": (34, 34)}


def test_a_shared_layer_counts_each_time_it_is_called_nested_or_not():
    shared = L.Dense(3, name="shared")
    inputs = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="inside")], name="nested")
    model = keras.Model(inputs, inner(shared(shared(inputs))))
    flops = count_flops(model)
    assert flops.layers["shared"].dense == 2 * (2 * 9 + 3)
    assert flops.layers["nested/inside"].dense == 2 * 9 + 3


class Branches(keras.Model):
    """Two dense branches in a list, one called twice."""

    def __init__(self):
        super().__init__()
        self.branches = [L.Dense(4, name="a"), L.Dense(4, name="b")]
        self.time = L.TimeDistributed(L.Dense(2, name="inside"))

    def call(self, x):
        a, b = self.branches
        return self.time(keras.ops.expand_dims(b(b(a(x))), 1))


@pytest.mark.parametrize("pruned", [False, True])
def test_a_subclassed_model_is_traced(pruned):
    model = Branches()
    model(np.zeros((2, 3), "float32"))
    if pruned:
        model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
    flops = count_flops(model)
    assert not flops.notes
    assert flops.dense == (2 * 3 * 4 + 4) + 2 * (2 * 4 * 4 + 4) + (2 * 4 * 2 + 2)
    assert model(np.zeros((2, 3), "float32")).shape == (2, 1, 2)


def test_a_model_that_cannot_be_traced_counts_each_weight_once():
    class Guess(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc, self.ids = L.Dense(4), L.Embedding(5, 4)

        def call(self, inputs):
            return self.fc(inputs["a"]) + self.ids(inputs["b"])

    model = Guess()
    model({"a": np.zeros((2, 3), "float32"), "b": np.zeros((2,), "int32")})
    flops = count_flops(model)  # which of two inputs are ids is not known
    assert flops.dense == 2 * (12 + 20)
    assert "could not be traced" in flops.notes[0]


class Scaled(L.Layer):
    """A custom layer that no rule knows."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")

    def call(self, x):
        return x @ self.kernel


def test_an_unknown_layer_is_counted_with_a_note():
    flops = count_flops(keras.Sequential([keras.Input((3,)), Scaled(name="own")]))
    assert flops.layers["own"].dense == 2 * 6
    assert flops.layers["own"].note == UNKNOWN


def _resnet_50(shapes):
    """RigL's ResNet-50: strides in the 3 x 3 convolutions, a bias in place of each BatchNorm."""

    def conv(x, name, stride=1):
        size, _, _, filters = shapes[name]
        return L.Conv2D(filters, size, strides=stride, padding="same", name=name)(x)

    images = keras.Input((224, 224, 3))
    x = L.MaxPooling2D(3, 2, padding="same")(conv(images, "initial_conv", 2))
    for group, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            stride, name = (2 if group > 1 and block == 0 else 1), f"g{group}_b{block}"
            y = conv(conv(conv(x, f"{name}_c1"), f"{name}_c2", stride), f"{name}_c3")
            x = L.Add()([conv(x, f"{name}_proj", stride) if block == 0 else x, y])
    return keras.Model(images, L.Dense(1000, name="final_dense")(L.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def oracle():
    return json.loads(shared_path("oracle", "erk_flops_rigl.json").read_text())


@pytest.fixture(scope="module")
def resnet_50(oracle):
    return _resnet_50(oracle["shapes"]["resnet50"])


def test_dense_resnet_50_is_that_of_rigl(oracle, resnet_50):
    assert count_flops(resnet_50).dense == oracle["resnet50_flops"]["dense"] == 8189483496
    dense_bytes, sparse_bytes = stored_bytes(resnet_50)
    assert dense_bytes == sparse_bytes == pytest.approx(1e6 * oracle["resnet50_flops"]["dense_MB"])


@pytest.mark.parametrize(
    ("sparsity", "density", "ratio", "megabytes"),
    [(0.8, 0.2, 0.415, 23.68), (0.9, 0.1, 0.243, 13.50), (0.95, 0.05, 0.123, 8.40)],
)
def test_erk_resnet_50_is_that_of_rigl(oracle, resnet_50, sparsity, density, ratio, megabytes):
    sparsities = oracle[f"resnet50/erdos_renyi_kernel/density{density}"]["sparsity"]
    densities = {f"{name}/kernel": 1 - s for name, s in sparsities.items()}
    expected, flops = oracle["resnet50_flops"][f"erk_{sparsity}"], count_flops(resnet_50, densities)
    assert flops.sparse == pytest.approx(expected["flops"], rel=1e-12)
    assert flops.sparse / flops.dense == pytest.approx(ratio, abs=5e-4)
    stored = stored_bytes(resnet_50, densities)[1] / 1e6
    # RigL's file counts a dense layer's mask too, or not, by the last bit of a float; the figure is to two digits.
    assert stored == pytest.approx(megabytes, abs=0.01)
    assert stored == pytest.approx(expected["MB"], rel=1e-3)


@pytest.mark.parametrize(
    ("sparsity", "density", "update_every", "ratio"),
    [(0.8, 0.2, 100, 0.42), (0.9, 0.1, 100, 0.25), (0.8, 0.2, 0, 0.61), (0.9, 0.1, 0, 0.50), (0.9, 0.1, None, 0.24)],
)
def test_training_of_resnet_50_costs_what_table_2_of_rigl_says(
    oracle, resnet_50, sparsity, density, update_every, ratio
):
    #  RigL, SNFS and SET as ERK divides them: (3 f_S T + 2 f_S + f_D) / (T + 1), 2 f_S + f_D, 3 f_S; over 3 f_D
    sparsities = oracle[f"resnet50/erdos_renyi_kernel/density{density}"]["sparsity"]
    start = {f"{name}/kernel": 1 - s for name, s in sparsities.items()}
    moved = MaskUpdate(100, start, density, 1.0, 0.0)
    flops = flops_of_training(resnet_50, start, [moved], steps=32000, update_every=update_every)
    dense, sparse = (oracle["resnet50_flops"][key] for key in ("dense", f"erk_{sparsity}"))
    assert flops["dense"] == 3 * dense
    assert flops["sparse"] == pytest.approx(training_flops(dense, sparse["flops"], update_every), rel=1e-12)
    assert flops["ratio"] == pytest.approx(ratio, abs=0.005)


def test_densities_are_of_weights_of_the_model():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="fc")])
    with pytest.raises(ValueError, match=r"Received: 'fc/kernal'\..*fc/kernel"):
        count_flops(model, {"fc/kernal": 0.5})


def test_training_flops_follow_the_appendix_of_rigl():
    f_dense, f_sparse = 8.2e9, 1.7e9
    assert training_flops(f_dense, f_dense) == 3 * f_dense
    assert training_flops(f_dense, f_sparse) == 3 * f_sparse
    assert training_flops(f_dense, f_sparse, update_every=0) == 2 * f_sparse + f_dense  # SNFS
    rigl = training_flops(f_dense, f_sparse, update_every=100)
    assert rigl == pytest.approx((3 * f_sparse * 100 + 2 * f_sparse + f_dense) / 101)
    assert training_flops(f_dense, f_sparse, examples=10) == 30 * f_sparse
    with pytest.raises(ValueError, match=r"update_every is a count, 0 or more\. Received: update_every=-1"):
        training_flops(f_dense, f_sparse, update_every=-1)


def test_counting_is_by_shapes_not_by_running():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    # the paper's 300 million multiply-adds, without the ops per output
    uses = sum(n * layer.sizes[p] for layer in count_flops(model).layers.values() for p, n in layer.uses.items())
    assert uses == pytest.approx(300e6, rel=0.01)
    assert math.isclose(count_flops(model).dense, 2 * uses, rel_tol=0.03)
