"""Wide residual networks: parameter counts, dropout."""

import keras
import numpy as np
import pytest

from tf_pai.networks import build


@pytest.mark.parametrize(
    ("name", "n", "k", "total"),
    [
        ("wrn_16_8", 2, 8, 10_961_370),  # 11.0M in Zagoruyko & Komodakis, table 4
        ("wrn_22_8", 3, 8, 17_158_106),  # 17.2M
        ("wrn_28_2", 4, 2, 1_467_610),  # the 1.5M of the literature on semi-supervised learning
        ("wrn_28_10", 4, 10, 36_479_194),  # 36.5M
    ],
)
def test_parameters(name, n, k, total):
    model = build(name, input_shape=(32, 32, 3), classes=10, seed=0)
    parameters, channels = 9 * 3 * 16, 16
    for wide in (16 * k, 32 * k, 64 * k):
        parameters += 9 * channels * wide + channels * wide + (2 * n - 1) * 9 * wide * wide  # with the projection
        parameters += 2 * channels + 2 * (2 * n - 1) * wide  # a BatchNorm before each convolution of the block
        channels = wide
    parameters += 2 * channels + channels * 10 + 10
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters == total


def test_dropout_is_seeded_and_sits_between_the_convolutions():
    model = build("wrn_16_8", input_shape=(8, 8, 3), classes=10, width=0.05, seed=0, dropout=0.3)
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(dropouts) == 6 and {layer.rate for layer in dropouts} == {0.3}
    assert len({layer.seed for layer in dropouts}) == 6
    assert dropouts[0].output is model.get_layer("stage1_block1_conv2").input
