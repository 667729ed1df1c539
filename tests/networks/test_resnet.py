"""Residual networks: parameter counts, shortcuts, stems."""

import numpy as np
import pytest

from tf_pai.networks import build


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("depth", "identity"),
    [(20, 269_722), (32, 464_154), (56, 853_018)],  # .27M, .46M and .85M in He et al., table 6
)
def test_cifar_parameters(depth, identity):
    models = [
        build(f"resnet_{depth}", input_shape=(32, 32, 3), classes=10, seed=0, shortcut=shortcut)
        for shortcut in ("identity", "projection")
    ]
    # n blocks of two convolutions in each stage; BatchNorm has two parameters a channel, the classifier 650.
    n = (depth - 2) // 6
    kernels = 9 * (3 * 16 + 2 * n * 16**2 + (16 + (2 * n - 1) * 32) * 32 + (32 + (2 * n - 1) * 64) * 64)
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert trainable(models[0]) == kernels + norms + 650 == identity
    # A projection is a 1 x 1 convolution with BatchNorm, 16 -> 32 and 32 -> 64 channels.
    assert trainable(models[1]) == identity + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


@pytest.mark.parametrize(
    ("depth", "total"),
    [
        (18, 11_689_512),  # torchvision's counts: kernels, BatchNorm scales and shifts,
        (34, 21_797_672),  # and the classifier's (512 or 2048) x 1000 + 1000
        (50, 25_557_032),  # the 25.6M of the literature
    ],
)
def test_imagenet_parameters(depth, total):
    assert trainable(build(f"resnet_{depth}", input_shape=(224, 224, 3), classes=1000, seed=0)) == total


def test_small_images_meet_a_stem_that_keeps_their_size():
    small = build("resnet_18", input_shape=(64, 64, 3), classes=10, seed=0, width=0.125)
    large = build("resnet_18", input_shape=(65, 65, 3), classes=10, seed=0, width=0.125)
    assert small.get_layer("conv1").kernel.shape[:2] == (3, 3) and small.get_layer("conv1").output.shape[1] == 64
    assert large.get_layer("conv1").kernel.shape[:2] == (7, 7) and large.get_layer("conv1_pool").output.shape[1] == 17
    assert small.get_layer("stage4_block2_relu").output.shape[1:3] == (8, 8)


def test_the_identity_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros():
    model = build("resnet_20", input_shape=(8, 8, 3), classes=10, seed=0, shortcut="identity")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
    shortcut = model.get_layer("stage2_block1_shortcut_pad")(model.get_layer("stage2_block1_shortcut_subsample")(x))
    expected = np.zeros((2, 4, 4, 32), "float32")
    expected[..., 8:24] = x[:, ::2, ::2]
    np.testing.assert_array_equal(shortcut, expected)


def test_a_misspelt_shortcut_gets_the_nearest():
    message = r"shortcut is one of 'projection', 'identity'. Received: shortcut='identiy'. Did you mean 'identity'\?"
    with pytest.raises(ValueError, match=message):
        build("resnet_20", input_shape=(32, 32, 3), classes=10, shortcut="identiy")
