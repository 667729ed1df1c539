"""Dead units on hand-drawn networks."""

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai import networks
from tf_pai.analysis import connectivity

L = keras.layers


def _dead(model):
    return {path: np.flatnonzero(dead).tolist() for path, dead in connectivity(model).dead.items()}


def test_the_drawn_net():
    """x1 x2 -> a0..a3 -> b0..b2 -> y.

    a1 has no incoming weight, a2 no outgoing one; b1 hears a1 only, b2 goes nowhere; a3 is heard by b2 only.
    """
    layers = [keras.Input((2,)), L.Dense(4, name="a"), L.Dense(3, name="b"), L.Dense(1, name="y")]
    masks = {
        "a/kernel": np.array([[1, 0, 1, 1], [0, 0, 1, 0]]),
        "b/kernel": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]),
        "y/kernel": np.array([[1], [1], [0]]),
    }
    model = tf_pai.set_masks(keras.Sequential(layers), masks)
    result = connectivity(model)
    assert _dead(model) == {"a": [1, 2, 3], "b": [1, 2], "y": []}
    # of 9 kept weights, x1-a0, a0-b0 and b0-y are on a path
    assert result.effective_sparsity == pytest.approx(1 - 3 / 23)
    assert result.notes == []


def test_a_plain_model_has_no_dead_units():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, name="conv"), L.Flatten(), L.Dense(2, name="fc")])
    assert _dead(model) == {"conv": [], "fc": []}
    assert connectivity(model).effective_sparsity == 0.0


def test_channels_are_followed_through_batchnorm_pooling_and_flatten():
    layers = [keras.Input((4, 4, 1)), L.Conv2D(3, 3, padding="same", name="conv"), L.BatchNormalization(), L.ReLU()]
    model = keras.Sequential([*layers, L.MaxPooling2D(), L.Flatten(), L.Dense(2, name="fc")])
    mask = np.ones((12, 2), bool)  # 2 x 2 places of 3 channels
    mask[[1, 4, 7, 10]] = False
    assert _dead(tf_pai.set_masks(model, {"fc/kernel": mask}))["conv"] == [1]


def test_a_shortcut_keeps_channels_alive():
    inputs = keras.Input((4, 4, 2))
    y = L.Conv2D(2, 3, padding="same", name="conv")(inputs)
    for name, outputs in (("with", L.Add()([inputs, y])), ("operator", inputs + y), ("without", y)):
        model = keras.Model(inputs, L.Dense(1, name="fc")(L.GlobalAveragePooling2D()(outputs)))
        fc = np.array([[True], [False]])
        conv = np.zeros((3, 3, 2, 2), bool)
        conv[..., 1] = True  # unit 0 gets nothing, unit 1 is not heard
        dead = _dead(tf_pai.set_masks(model, {"conv/kernel": conv, "fc/kernel": fc}))
        assert dead["fc"] == ([0] if name == "without" else [])


def test_concatenation_keeps_the_channels_apart():
    inputs = keras.Input((2,))
    both = L.Concatenate()([L.Dense(2, name="left")(inputs), L.Dense(2, name="right")(inputs)])
    model = keras.Model(inputs, L.Dense(1, name="y")(both))
    model = tf_pai.set_masks(model, {"y/kernel": np.array([[0], [1], [1], [0]])})
    assert _dead(model) == {"left": [0], "right": [1], "y": []}


def test_groups_depthwise_and_transposed_kernels():
    layers = [keras.Input((4, 4, 4)), L.Conv2D(4, 1, groups=2, name="groups"), L.DepthwiseConv2D(1, name="each")]
    model = keras.Sequential([*layers, L.Conv2DTranspose(2, 2, strides=2, name="up")])
    up = np.ones((2, 2, 2, 4), bool)
    up[..., 3] = False  # input channel 3 is not heard
    each = np.ones((1, 1, 4, 1), bool)
    each[..., 0, 0] = False
    model = tf_pai.set_masks(model, {"up/kernel": up, "each/kernel": each})
    assert _dead(model) == {"groups": [0, 3], "each": [0, 3], "up": []}
    # 24 kept of "up" less the 8 from channel 0; 3 kept of "each" less the one to channel 3
    assert connectivity(model).effective_sparsity == pytest.approx(1 - (16 + 2) / 36)


def test_nested_and_shared_layers():
    shared = L.Dense(2, name="shared")
    nested = keras.Sequential([keras.Input((2,)), L.Dense(2, name="inner")], name="nested")
    inputs = keras.Input((2,))
    model = keras.Model(inputs, L.Dense(1, name="y")(nested(shared(shared(inputs)))))
    masks = {"y/kernel": np.array([[1], [0]]), "nested/inner/kernel": np.array([[1, 1], [0, 1]])}
    dead = _dead(tf_pai.set_masks(model, masks))
    assert dead["nested/inner"] == [1]
    assert dead["shared"] == []  # unit 1 is heard by the layer's own second call


def test_layers_not_known_better_never_make_a_unit_dead():
    inputs = keras.Input((5, 4))
    x = L.Dense(4, name="before")(inputs)
    x = L.LayerNormalization()(L.MultiHeadAttention(2, 2, name="mha")(x, x))
    model = keras.Model(inputs, L.Dense(2, name="after")(L.LSTM(3, name="lstm")(x)))
    model = tf_pai.prune_at_init(model, "random", 0.5, include=["mha/*", "lstm/*"], seed=0)
    assert _dead(model) == {"before": [], "after": []}


def test_a_subclassed_model_says_that_its_graph_is_not_known():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc = L.Dense(2)

        def call(self, x):
            return self.fc(x)

    model = Own()
    model(np.zeros((1, 3), "float32"))
    model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
    result = connectivity(model)
    assert result.dead == {} and "subclassed" in result.notes[0]
    assert result.effective_sparsity == pytest.approx(0.5)


def test_a_pruned_resnet_counts_at_most_its_kept_weights():
    model = networks.build("resnet_20", input_shape=(8, 8, 3), classes=4, width=0.25, seed=0)
    model = tf_pai.prune_at_init(model, "random", 0.9, distribution="global", seed=0)
    result = connectivity(model)
    assert tf_pai.sparsity(model) <= result.effective_sparsity < 1
    assert set(result.dead) == {path.rpartition("/")[0] for path in tf_pai.get_masks(model)}


@pytest.mark.parametrize("name", ["resnet_20", "mobilenet_v1"])  # max-pooling would drop paths
def test_weights_on_paths_are_those_with_a_synaptic_flow(name):
    """SynFlow's score is the sum over all paths through a weight: positive where, and only where, there is one."""
    model = networks.build(name, input_shape=(16, 16, 3), classes=4, width=0.125, seed=0)
    model = tf_pai.prune_at_init(model, "random", 0.95, seed=0)
    masks = tf_pai.get_masks(model)
    flow = sum(int((score[masks[path]] > 0).sum()) for path, score in tf_pai.score(model, "synflow").items())
    total = sum(mask.size for mask in masks.values())
    assert tf_pai.sparsity(model) < 1 - flow / total
    assert connectivity(model).effective_sparsity == pytest.approx(1 - flow / total, abs=1e-12)
