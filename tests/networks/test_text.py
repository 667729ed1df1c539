"""Networks for text: parameter counts, padding."""

import warnings

import numpy as np
import pytest

from tf_pai.networks import build


def text(name, **changes):
    return build(name, **{"input_shape": (6,), "classes": 2, "width": 0.25, "vocabulary": 20, "seed": 0} | changes)


def test_parameters_of_the_transformer():
    model = build("text_transformer", input_shape=(64,), classes=2, vocabulary=1000, seed=0)
    embeddings = (1000 + 1) * 128 + (64 + 2) * 128  # a class token; its position, and one that stands for padding
    block = 4 * (128 * 128 + 128) + (128 * 512 + 512) + (512 * 128 + 128) + 2 * 2 * 128
    assert model.count_params() == embeddings + 2 * block + 2 * 128 + 128 * 2 + 2


@pytest.mark.parametrize(("width", "units", "cell"), [(1.0, 128, 131_584), (2.0, 256, 525_312)])
def test_parameters_of_the_lstm(width, units, cell):
    model = build("lstm", input_shape=(64,), classes=10, vocabulary=1000, width=width, seed=0)
    # Four gates of (inputs + states) x units + units; the embedding; the classifier.
    assert cell == 4 * (2 * units * units + units)
    assert model.count_params() == 1000 * units + cell + units * 10 + 10


@pytest.mark.parametrize("name", ["text_transformer", "lstm"])
def test_padding_is_not_read(name):
    model = text(name)
    front, back = np.array([[0, 0, 0, 5, 3, 9]], "int32"), np.array([[5, 3, 9, 0, 0, 0]], "int32")
    logits = model(back).numpy()
    np.testing.assert_allclose(model(front), logits, atol=1e-6)
    assert not np.allclose(model(np.array([[5, 3, 9, 7, 0, 0]], "int32")), logits, atol=1e-6)
    for layer in (layer for layer in model.layers if hasattr(layer, "embeddings")):
        layer.embeddings.assign(np.vstack([np.full((1, layer.output_dim), 9.0), layer.embeddings.numpy()[1:]]))
    np.testing.assert_allclose(model(back), logits, atol=1e-6)


@pytest.mark.parametrize("name", ["text_transformer", "lstm"])
def test_a_text_without_words_has_finite_logits(name):
    assert np.isfinite(np.asarray(text(name)(np.zeros((2, 6), "int32")))).all()


def test_the_transformer_reads_the_order_of_the_words():
    model = text("text_transformer")
    assert not np.allclose(model(np.array([[5, 3, 9, 0, 0, 0]])), model(np.array([[9, 3, 5, 0, 0, 0]])), atol=1e-7)


@pytest.mark.parametrize("name", ["text_transformer", "lstm"])
def test_no_layer_complains_about_a_mask(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text(name)(np.ones((1, 6), "int32"))


def test_the_bias_of_the_forget_gate_starts_at_one():
    bias = text("lstm").get_layer("lstm").get_weights()[2].reshape(4, -1)
    np.testing.assert_array_equal(bias, np.stack([np.full(32, gate) for gate in (0, 1, 0, 0)]))


@pytest.mark.parametrize("name", ["text_transformer", "lstm"])
def test_the_vocabulary_is_a_count(name):
    with pytest.raises(ValueError, match=r"vocabulary is a positive integer. Received: vocabulary=0\."):
        text(name, vocabulary=0)
