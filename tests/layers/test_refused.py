"""What PrunableLayer refuses, and what stays dense."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.layers.support import assert_same_outputs, leaks, pruned, same_masks, trained
from tests.layers.test_prunable import perceptron, vectors
from tf_pai.layers import prunable_layers, wrap_model

L = keras.layers


def test_adapters_are_refused():
    message = r"LoRA adds a dense matrix, and a pruned weight is zero. Received: enable_lora on pruned 'fc1'"
    with pytest.raises(ValueError, match=message):
        pruned(perceptron()).get_layer("fc1").enable_lora(2)


def test_adapters_and_quantization_of_a_stripped_model():
    model, (x, _) = pruned(perceptron()), vectors()
    plain, adapted = tf_pai.strip(model), tf_pai.strip(model)
    plain.quantize("int8")
    assert plain.get_layer("fc1").kernel.dtype == "int8"
    zero = ~tf_pai.get_masks(model)["fc1/kernel"]
    assert not plain.get_layer("fc1")._kernel.numpy()[zero].any()
    adapted.get_layer("fc1").enable_lora(2)
    assert_same_outputs(adapted, model, x)


@keras.saving.register_keras_serializable("tests")
class ChoosesItself(L.Dense):
    """A layer with tfmot's protocol."""

    def get_prunable_weights(self):
        return [self.bias]


def test_a_layer_that_says_what_can_be_pruned_is_asked():
    model = keras.Sequential([keras.Input((4,)), ChoosesItself(3, name="own"), L.Dense(2, name="fc")])
    model = pruned(model, optimizer="sgd")
    assert list(tf_pai.get_masks(model)) == ["own/bias", "fc/kernel"]
    trained(model, *vectors(features=4)[:1], np.zeros(32, int))


class NeedsALayer(L.Layer):
    """A layer that Keras cannot make again: it takes a layer, and has no get_config."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def test_a_layer_that_cannot_be_made_again_stays_dense_and_is_named(caplog):
    inputs = keras.Input((6,))
    dense = keras.Model(inputs, L.Dense(3, name="fc")(NeedsALayer(L.Dense(5), name="odd")(inputs)))
    model = tf_pai.prune_at_init(dense, "magnitude", 0.5)
    assert list(tf_pai.get_masks(model)) == ["fc/kernel"]
    assert [r.message for r in caplog.records if "stays dense" in r.message] == [
        "Layer 'odd' of class NeedsALayer stays dense: it has no get_config, or shares weights with a layer that has "
        "none, or no attribute, list, tuple or dict of the model holds it."
    ]
    with pytest.raises(ValueError, match="Received: 'odd' of class NeedsALayer, which has none. Give the class a get"):
        wrap_model(dense, ["odd/inner/kernel"])


class Transposed(L.Layer):
    """An autoencoder's decoder, tied to its encoder by hand; Keras cannot make it again."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, x):
        return keras.ops.matmul(x, keras.ops.transpose(self.encoder.kernel))


def test_weights_tied_by_hand_stay_tied(caplog):
    inputs, encoder = keras.Input((6,)), L.Dense(4, name="encoder")
    dense = keras.Model(inputs, L.Dense(3, name="fc")(Transposed(encoder, name="decoder")(encoder(inputs))))
    model = tf_pai.prune_at_init(dense, "magnitude", 0.5)
    assert list(tf_pai.get_masks(model)) == ["fc/kernel"] and "Layer 'encoder' of class Dense stays" in caplog.text
    for made in (model, tf_pai.strip(model)):
        assert made.get_layer("encoder").kernel is made.get_layer("decoder").encoder.kernel
        assert len(made.trainable_variables) == len(dense.trainable_variables)
    with pytest.raises(ValueError, match="Received: 'encoder', whose weights a layer without a get_config uses too"):
        wrap_model(dense, ["encoder/kernel"])


class HoldsASet(keras.Model):
    """A model whose layers are in a set, where none can be replaced."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = {L.Dense(4, name="hidden")}, L.Dense(3, name="head")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)


def test_a_layer_that_cannot_be_replaced_stays_dense(caplog):
    model = HoldsASet()
    model(vectors()[0])
    assert list(tf_pai.get_masks(tf_pai.prune_at_init(model, "magnitude", 0.5))) == ["head/kernel"]
    assert "Layer 'hidden' of class Dense stays dense" in caplog.text
    with pytest.raises(ValueError, match="Received: layer 'hidden', which none does. Assign it to an attribute"):
        wrap_model(model, ["hidden/kernel"])


def test_a_lambda_does_not_keep_a_model_from_being_pruned():
    inputs = keras.Input((6,))
    dense = keras.Model(inputs, L.Dense(3)(L.Lambda(lambda x: 2 * x)(inputs)))
    model = pruned(dense)
    assert len(prunable_layers(model)) == 1 and not leaks(model)


def test_values_written_past_the_optimizer_are_found():
    """Also those of set_weights, whose list holds masks and weights: it is taken as it is."""
    model = pruned(perceptron())
    masks = tf_pai.get_masks(model)
    model.set_weights([np.ones(w.shape) if w.name == "kernel" else w.numpy() for w in model.weights])
    first = tuple(np.argwhere(~masks["fc1/kernel"])[0])
    with pytest.raises(ValueError, match=rf"Received: fc1/kernel\[{first[0]}, {first[1]}\] = 1.0, and \d+ more in"):
        tf_pai.verify(model)
    tf_pai.set_masks(model, tf_pai.get_masks(model))
    assert tf_pai.verify(model) and same_masks(tf_pai.get_masks(model), masks)


def test_strip_takes_models():
    with pytest.raises(TypeError, match=r"strip takes a Keras 3 model. Received: 3 of type int"):
        tf_pai.strip(3)


def test_strip_of_a_plain_model_is_a_plain_model():
    dense, (x, _) = perceptron(), vectors()
    assert_same_outputs(tf_pai.strip(dense), dense, x)


def test_strip_bakes_zeros_in_and_leaves_the_pruned_model_alone():
    model = pruned(perceptron())
    kernel = model.get_layer("fc1").kernel
    kernel.assign(np.ones(kernel.shape))
    stripped = tf_pai.strip(model).get_layer("fc1").kernel.numpy()
    np.testing.assert_array_equal(stripped, tf_pai.get_masks(model)["fc1/kernel"].astype("float32"))
    assert kernel.numpy().all()
