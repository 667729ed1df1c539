"""Sizes are checked, seeds are derived, kernels are drawn from whole normals."""

import re

import numpy as np
import pytest

from tf_pai.networks import blueprint
from tf_pai.networks.blueprint import Blueprint


def plan(**changes):
    return Blueprint(**{"name": "net", "input_shape": (32, 32, 3), "classes": 10} | changes)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"input_shape": 784}, "input_shape is a tuple of positive integers, without the batch axis. Received: "),
        ({"input_shape": (None, 32, 3)}, "input_shape is a tuple of positive integers"),
        ({"input_shape": ()}, "input_shape is a tuple of positive integers"),
        ({"classes": 0}, "classes is a positive integer. Received: classes=0. Give classes as 1, 2, 3, ..."),
        ({"classes": 2.0}, "classes is a positive integer. Received: classes=2.0."),
        ({"width": 0}, "width is a positive number. Received: width=0. Leave it at 1.0, or give e.g. 0.25."),
        ({"width": float("nan")}, "width is a positive number. Received: width=nan."),
        ({"width": "2"}, "width is a positive number. Received: width='2'."),
        ({"weight_decay": -1e-4}, "weight_decay is a number of at least 0. Received: weight_decay=-0.0001."),
        ({"seed": 0.5}, "seed is an integer or None. Received: seed=0.5. Give e.g. seed=0."),
    ],
)
def test_sizes_out_of_range_are_refused(changes, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        plan(**changes)


def test_numpy_integers_are_sizes():
    net = plan(input_shape=(np.int64(8), np.int32(8), 3), classes=np.int64(2), seed=np.int64(3))
    assert net.input_shape == (8, 8, 3) and net.seed_of("conv1") == plan(seed=3).seed_of("conv1")


def test_each_weight_has_a_seed_of_its_own():
    seeds = {plan(seed=seed).seed_of(name) for seed in (0, 1) for name in ("conv1", "conv2", "conv1/bias")}
    assert len(seeds) == 6 and all(0 <= seed < 2**31 for seed in seeds)
    assert plan().seed_of("conv1") is None


@pytest.mark.parametrize(("width", "expected"), [(1.0, 64), (0.25, 16), (0.01, 1), (1.5, 96)])
def test_channels_scale_with_the_width_and_never_vanish(width, expected):
    assert plan(width=width).channels(64) == expected


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ("he_fan_in", (2 / 300) ** 0.5),
        ("he_fan_out", (2 / 200) ** 0.5),
        ("glorot_normal", (2 / 500) ** 0.5),
        ("normal_0.01", 0.01),
        ("normal_0.02", 0.02),
    ],
)
def test_kernels_come_from_a_normal_that_is_not_truncated(init, deviation):
    drawn = np.asarray(plan(seed=0).initializer(init, "dense")((300, 200))) / deviation
    assert drawn.std() == pytest.approx(1, abs=0.01)  # 60,000 draws: one deviation of this is .003
    assert np.mean(np.abs(drawn) > 2.5) == pytest.approx(0.0124, abs=0.002)  # Keras' HeNormal stops at 2.27
    assert set(blueprint.INITIALIZERS) >= {init}


def test_a_misspelt_initializer_gets_the_nearest():
    with pytest.raises(ValueError, match=r"init is one of .*Received: init='he_fanin'. Did you mean 'he_fan_in'\?"):
        plan().initializer("he_fanin", "dense")


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_strided_convolutions_pad_both_sides_as_torch_does(side, size):
    net = plan(input_shape=(side, side, 1), seed=0)
    x = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype("float32")
    halved, whole = net.conv(x, 2, size, stride=2, name="conv"), net.conv(x, 2, size, name="conv")
    np.testing.assert_allclose(halved, np.asarray(whole)[:, ::2, ::2], atol=1e-5)


def test_a_depthwise_kernel_starts_from_the_size_of_its_filters():
    net = plan(seed=0)
    y = net.depthwise(np.random.default_rng(0).normal(size=(2, 9, 9, 4096)).astype("float32"), 3, name="depthwise")
    inside = np.asarray(y)[:, 1:-1, 1:-1]
    assert inside.std() == pytest.approx(2**0.5, rel=0.05)  # nine weights of variance 2 / 9


def test_dropout_outside_its_range_is_refused():
    with pytest.raises(
        ValueError, match=re.escape("dropout is a rate in [0, 1). Received: dropout=1.0. Give e.g. 0.1")
    ):
        plan().dropout(None, 1.0, name="dropout")
