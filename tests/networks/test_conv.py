"""Conv-2 to Conv-8: parameter counts."""

import pytest

from tf_pai.networks import build

# Convolutions, each with its biases: 3->64, 64->64 | 64->128, 128->128 | 128->256, 256->256 | 256->512, 512->512
CONVOLUTIONS = {
    2: 1_792 + 36_928,
    4: 1_792 + 36_928 + 73_856 + 147_584,
    6: 1_792 + 36_928 + 73_856 + 147_584 + 295_168 + 590_080,
    8: 1_792 + 36_928 + 73_856 + 147_584 + 295_168 + 590_080 + 1_180_160 + 2_359_808,
}
# What is left of 32 x 32 pixels after depth / 2 poolings, to 256, 256 and 10 units
DENSE = {2: 16 * 16 * 64, 4: 8 * 8 * 128, 6: 4 * 4 * 256, 8: 2 * 2 * 512}


@pytest.mark.parametrize(
    ("depth", "total"),
    [
        (2, 4_301_642),  # 4.3M in Frankle & Carbin, fig. 2; 38K of them in convolutions
        (4, 2_425_930),  # 2.4M; 260K
        (6, 2_262_602),  # printed as 1.7M there, with the same 1.1M in convolutions
        (8, 5_278_282),
    ],
)
def test_parameters(depth, total):
    model = build(f"conv_{depth}", input_shape=(32, 32, 3), classes=10, seed=0)
    dense = DENSE[depth] * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    assert model.count_params() == CONVOLUTIONS[depth] + dense == total


def test_kernels_start_from_gaussian_glorot():
    kernel = build("conv_4", input_shape=(32, 32, 3), classes=10, seed=0).get_layer("stage2_conv2").get_weights()[0]
    assert kernel.std() == pytest.approx((2 / (9 * (128 + 128))) ** 0.5, rel=0.02)
