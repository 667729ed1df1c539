"""Select_subnet refuses wrong input before anything is changed."""

import keras
import pytest

import tf_pai
from tests.selection.test_select import dense_net


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 2, "half", True])
def test_k_outside_0_1(sparsity):
    with pytest.raises(ValueError, match=r"sparsity is a number in \[0, 1\).*Received: sparsity="):
        tf_pai.select_subnet(dense_net(), sparsity=sparsity)


def test_no_prunable_weight():
    with pytest.raises(ValueError, match="Pruning needs prunable weights"):
        tf_pai.select_subnet(keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()]))


def test_misspelt_names():
    with pytest.raises(ValueError, match=r"Received: 'hiden'. Did you mean 'hidden'"):
        tf_pai.select_subnet(dense_net(), "hiden")
    with pytest.raises(ValueError, match="Did you mean 'signed_constant'"):
        tf_pai.select_subnet(dense_net(), weights="signed_const")


def test_a_method_of_another_track():
    with pytest.raises(ValueError, match=r"track 'selection'. Received: 'snip'"):
        tf_pai.select_subnet(dense_net(), "snip")


def test_a_pruned_model():
    with pytest.raises(ValueError, match=r"without masks. Received: a pruned one. tf_pai.strip it"):
        tf_pai.select_subnet(tf_pai.prune_at_init(dense_net(), "random", 0.5, seed=0))


def test_no_keras_model():
    with pytest.raises(TypeError, match="Keras 3 models"):
        tf_pai.select_subnet("model")


def test_binary_activations_need_rectifiers():
    with pytest.raises(ValueError, match="Did you mean 'binary'"):
        tf_pai.selection.MultiPrize(activations="binari")
    with pytest.raises(ValueError, match="take the place of rectifiers"):
        linear = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        tf_pai.select_subnet(linear, tf_pai.selection.MultiPrize(activations="binary"))


def test_a_subnet_is_stripped_before_it_is_pruned():
    selected = tf_pai.select_subnet(dense_net(), seed=0)
    with pytest.raises(ValueError, match="with none. select_subnet froze them: tf_pai.strip it"):
        tf_pai.prune_at_init(selected, "random", 0.5)


def test_a_layer_that_writes_its_kernel_while_it_trains():
    layers = [keras.layers.SpectralNormalization(keras.layers.Dense(4), name="spectral"), keras.layers.Dense(2)]
    with pytest.raises(ValueError, match="never written. Received: a model with SpectralNormalization 'spectral'"):
        tf_pai.select_subnet(keras.Sequential([keras.Input((4,)), *layers]))
