"""MobileNets: networks of depthwise separable convolutions.

| name | reference |
| --- | --- |
| `mobilenet_v1` | Howard et al., "MobileNets", arXiv:1704.04861, table 1 |
| `mobilenet_v2` | Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2 |
"""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint

V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""(channels, stride) of each separable convolution."""

V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion t, channels c, blocks n, stride s) of each stage."""


@NETWORKS.register("mobilenet_v1")
def mobilenet_v1(net: Blueprint, *, init: str = "he_fan_out") -> keras.Model:
    """Builds MobileNet V1; `width` is the paper's alpha.

    Differs from the paper in: the first convolution has stride 1 for images of at most 64 pixels a side.

    Args:
        net: sizes, decay and seed.
        init: name of the initializer of the convolutions that are not depthwise.
    """
    images = net.images(at_least=16)
    x = net.conv_norm(images, net.channels(32), 3, stride=1 if net.small_image else 2, init=init, name="conv1")
    for index, (filters, stride) in enumerate(V1_BLOCKS, start=1):
        x = net.norm(net.depthwise(x, 3, stride=stride, name=f"block{index}_depthwise"), name=f"block{index}_bn")
        x = net.conv_norm(x, net.channels(filters), 1, init=init, name=f"block{index}_pointwise")
    return net.classify(images, x, init="normal_0.01")


@NETWORKS.register("mobilenet_v2")
def mobilenet_v2(net: Blueprint, *, init: str = "he_fan_out") -> keras.Model:
    """Builds MobileNet V2; `width` is the paper's multiplier, which leaves the last 1280 channels alone below 1.

    Channel counts are rounded to multiples of 8, as in the authors' code.
    Differs from the paper in: the first convolution has stride 1 for images of at most 64 pixels a side; no dropout.

    Args:
        net: sizes, decay and seed.
        init: name of the initializer of the convolutions that are not depthwise.
    """
    images = net.images(at_least=16)
    stride = 1 if net.small_image else 2
    x = net.conv_norm(images, _eights(32 * net.width), 3, stride=stride, activation="relu6", init=init, name="conv1")
    for stage, (expansion, filters, blocks, first_stride) in enumerate(V2_STAGES, start=1):
        for block in range(1, blocks + 1):
            stride = first_stride if block == 1 else 1
            name = f"stage{stage}_block{block}"
            x = _inverted_residual(net, x, _eights(filters * net.width), expansion, stride, init, name)
    x = net.conv_norm(x, _eights(1280 * max(1.0, net.width)), 1, activation="relu6", init=init, name="conv2")
    return net.classify(images, x, init="normal_0.01")


def _inverted_residual(net: Blueprint, x: Any, filters: int, expansion: int, stride: int, init: str, name: str) -> Any:
    """Returns x widened, filtered by channel and projected, plus x where its shape allows (Sandler et al., fig. 4d)."""
    y = x
    if expansion > 1:
        wide = expansion * x.shape[-1]
        y = net.conv_norm(x, wide, 1, activation="relu6", init=init, name=f"{name}_expand")
    y = net.depthwise(y, 3, stride=stride, name=f"{name}_depthwise")
    y = net.norm(y, activation="relu6", name=f"{name}_depthwise_bn")
    y = net.conv_norm(y, filters, 1, activation=None, init=init, name=f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape == y.shape else y


def _eights(channels: float) -> int:
    """Returns the nearest multiple of 8, at least 8 and not more than 10 % below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
