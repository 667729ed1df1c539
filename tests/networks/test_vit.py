"""The vision transformer: parameter counts, patches, class token."""

import numpy as np
import pytest

from tf_pai.networks import build


def tiny(**changes):
    arguments = {"input_shape": (8, 12, 3), "classes": 5, "width": 0.125, "depth": 1, "seed": 0}
    return build("vit_tiny", **arguments | changes)


def test_parameters_are_those_of_deit_tiny_without_its_doubled_biases():
    model = build("vit_tiny", input_shape=(224, 224, 3), classes=1000, seed=0)
    embedding = 16 * 16 * 3 * 192 + 197 * 192
    block = 4 * (192 * 192 + 192) + (192 * 768 + 768) + (768 * 192 + 192) + 2 * 2 * 192
    head = 2 * 192 + 192 * 1000 + 1000
    # DeiT-Ti has 5,717,416: its class token and its patch embedding's bias are part of our bias per token.
    assert model.count_params() == embedding + 12 * block + head == 5_717_416 - 2 * 192


def test_patches_are_the_convolution_of_the_paper():
    model = tiny(patch_size=4)
    images = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype("float32")
    patches = images.reshape(2, 2, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 48)
    x = images
    for name in ("patch_rows", "patch_order", "patches", "class_token", "patch_embedding"):
        x = model.get_layer(name)(x)
    kernel, bias = model.get_layer("patch_embedding").get_weights()
    np.testing.assert_allclose(np.asarray(x)[:, 1:], patches @ kernel + bias[1:], atol=1e-5)
    np.testing.assert_array_equal(np.asarray(x)[:, 0], np.stack([bias[0]] * 2))


@pytest.mark.parametrize(("side", "tokens"), [(32, 8 * 8 + 1), (64, 16 * 16 + 1), (96, 6 * 6 + 1)])
def test_the_size_of_the_patches_follows_the_image(side, tokens):
    assert tiny(input_shape=(side, side, 3)).get_layer("patch_embedding").output.shape[1] == tokens


def test_patches_that_do_not_fill_the_image_are_refused():
    message = (
        r"patch_size divides the height and the width of the image. Received: patch_size=8, input_shape=\(8, 12, 3\)"
    )
    with pytest.raises(ValueError, match=message):
        tiny(patch_size=8)


@pytest.mark.parametrize("option", ["depth", "heads", "patch_size"])
def test_counts_are_positive(option):
    with pytest.raises(ValueError, match=f"{option} is a positive integer. Received: {option}=0"):
        tiny(**{option: 0})
