"""VGG: parameter counts, and the network of the layer-collapse measurements."""

import numpy as np
import pytest

from tf_pai.networks import build


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("depth", "convolutions", "channels"),
    [
        (11, 9_217_728, 64 + 128 + 2 * 256 + 4 * 512),
        (16, 14_710_464, 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512),  # the 14.7M of the literature
        (19, 20_018_880, 2 * 64 + 2 * 128 + 4 * 256 + 8 * 512),  # 20.0M
    ],
)
def test_parameters(depth, convolutions, channels):
    model = build(f"vgg_{depth}", input_shape=(32, 32, 3), classes=10, seed=0)
    kernels = sum(int(np.prod(layer.kernel.shape)) for layer in model.layers if "conv" in layer.name[-6:])
    assert kernels == convolutions
    # Scale and shift of BatchNorm, and the classifier. Torch versions with useless biases have `channels` more.
    assert trainable(model) == convolutions + 2 * channels + 512 * 10 + 10


def test_a_quarter_of_the_width_is_the_network_of_the_collapse_measurements():
    model = build("vgg_16", input_shape=(32, 32, 3), classes=10, width=0.25, seed=0)
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    assert [k.shape[-1] for k in kernels] == [16, 16, 32, 32, 64, 64, 64, *[128] * 6, 10]
    # 9 x (3x16 + 16x16 + 16x32 + 32x32 + 32x64 + 2x64x64 + 64x128 + 5x128x128) + 128 x 10
    assert sum(int(np.prod(k.shape)) for k in kernels) == 9 * 102_192 + 1_280 == 921_008  # .92M


def test_convolutions_start_he_fan_out_and_the_classifier_small():
    model = build("vgg_16", input_shape=(32, 32, 3), classes=10, seed=0)
    kernel = model.get_layer("stage3_conv1").kernel.numpy()  # 128 -> 256
    assert kernel.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert model.get_layer("classifier").kernel.numpy().std() == pytest.approx(0.01, rel=0.05)


def test_larger_images_need_no_more_parameters():
    sizes = {build("vgg_11", input_shape=(s, s, 3), classes=10, width=0.1, seed=0).count_params() for s in (16, 32, 64)}
    assert len(sizes) == 1
