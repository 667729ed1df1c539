"""LeNets: parameter counts, and the start of the measurements on MNIST."""

import numpy as np
import pytest

from tf_pai.networks import build


def test_lenet_300_100_has_the_266610_parameters_of_the_literature():
    model = build("lenet_300_100", input_shape=(28, 28, 1), classes=10, seed=0)
    # 784 x 300 + 300, 300 x 100 + 100, 100 x 10 + 10
    assert model.count_params() == 235_500 + 30_100 + 1_010 == 266_610


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1)])
def test_lenet_300_100_flattens_what_it_gets(shape):
    assert build("lenet_300_100", input_shape=shape, classes=10, seed=0).count_params() == 266_610


def test_lenet_300_100_starts_he_normal_with_zero_biases():
    model = build("lenet_300_100", input_shape=(784,), classes=10, seed=0)
    for name, fan_in in (("dense1", 784), ("dense2", 300), ("classifier", 100)):
        kernel, bias = model.get_layer(name).get_weights()
        assert kernel.std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
        assert not bias.any()


def test_lenet_5_has_the_431080_parameters_of_caffe():
    model = build("lenet_5", input_shape=(28, 28, 1), classes=10, seed=0)
    # 25 x 20 + 20, 25 x 20 x 50 + 50, (4 x 4 x 50) x 500 + 500, 500 x 10 + 10
    assert model.count_params() == 520 + 25_050 + 400_500 + 5_010 == 431_080


def test_lenet_5_has_no_relu_after_its_convolutions():
    model = build("lenet_5", input_shape=(28, 28, 1), classes=10, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    assert np.asarray(model.get_layer("conv1")(x)).min() < 0


def test_the_width_of_lenet_leaves_the_classes_alone():
    model = build("lenet_300_100", input_shape=(784,), classes=10, width=2.0, seed=0)
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [600, 200, 10]
