"""MobileNets: parameter counts, rounding of channels, strides."""

import numpy as np
import pytest

from tf_pai.networks import build
from tf_pai.networks.mobilenet import _eights


@pytest.mark.parametrize(
    ("name", "trainable", "statistics"),
    [
        # 4.2M: kernels 3,185,088, BatchNorm 2 x 10,944, classifier 1024 x 1000 + 1000. Keras' MobileNet: 4,253,864.
        ("mobilenet_v1", 3_185_088 + 2 * 10_944 + 1_025_000, 2 * 10_944),
        # 3.5M: kernels 2,189,760, BatchNorm 2 x 17,056, classifier 1280 x 1000 + 1000. Keras' MobileNetV2: 3,538,984.
        ("mobilenet_v2", 2_189_760 + 2 * 17_056 + 1_281_000, 2 * 17_056),
    ],
)
def test_parameters(name, trainable, statistics):
    model = build(name, input_shape=(224, 224, 3), classes=1000, seed=0)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == trainable
    assert model.count_params() == trainable + statistics == {"v1": 4_253_864, "v2": 3_538_984}[name[-2:]]


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize(("side", "stride"), [(64, 1), (96, 2)])
def test_small_images_keep_their_size_in_the_first_convolution(name, side, stride):
    model = build(name, input_shape=(side, side, 3), classes=10, width=0.1, seed=0)
    assert model.get_layer("conv1").output.shape[1] == side // stride
    assert model.get_layer("pool").input.shape[1] == side // stride // 16


@pytest.mark.parametrize(("channels", "expected"), [(3, 8), (11, 16), (12, 16), (18, 24), (24, 24), (33.6, 32)])
def test_channels_are_multiples_of_eight_within_ten_percent(channels, expected):
    assert _eights(channels) == expected


def test_the_last_convolution_of_v2_narrows_for_no_width():
    model = build("mobilenet_v2", input_shape=(32, 32, 3), classes=10, width=0.25, seed=0)
    assert model.get_layer("conv2").filters == 1280
    assert model.get_layer("conv1").filters == 8
