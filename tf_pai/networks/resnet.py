"""Residual networks, for CIFAR and for ImageNet.

| name | reference |
| --- | --- |
| `resnet_20` `resnet_32` `resnet_56` | He et al., "Deep Residual Learning", CVPR 2016, sec. 4.2, n = 3, 5, 9 |
| `resnet_18` `resnet_34` `resnet_50` | the same paper, table 1 |
"""

from __future__ import annotations

import functools
from typing import Any

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint, require_choice

SHORTCUTS = ("projection", "identity")
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def cifar_resnet(depth: int, net: Blueprint, *, shortcut: str = "projection", init: str = "he_fan_out") -> keras.Model:
    """Builds three stages of (depth - 2) / 6 basic blocks with 16, 32 and 64 channels.

    Differs from the paper in: `shortcut="projection"`, a 1 x 1 convolution with BatchNorm where the size changes, as
    in open_lth and Synaptic-Flow. The paper's option A, without parameters, is `shortcut="identity"`.

    Args:
        depth: 20, 32 or 56.
        net: sizes, decay and seed.
        shortcut: "projection" or "identity".
        init: name of the convolutions' initializer.
    """
    require_choice("shortcut", shortcut, SHORTCUTS)
    images = net.images(at_least=4)
    x = net.conv_norm(images, net.channels(16), 3, init=init, name="conv1")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            y = basic_block(net, x, net.channels(filters), stride=stride, init=init, name=name)
            x = join(net, x, y, stride=stride, shortcut=shortcut, init=init, name=name)
    return net.classify(images, x)


def imagenet_resnet(depth: int, net: Blueprint, *, init: str = "he_fan_out") -> keras.Model:
    """Builds four stages of basic blocks (18, 34) or bottlenecks (50) with 64, 128, 256 and 512 channels.

    Differs from the paper in: images of at most 64 pixels a side meet a 3 x 3 convolution of stride 1 without
    pooling, as is usual on CIFAR; bottlenecks stride in the 3 x 3 convolution, as torchvision's do.

    Args:
        depth: 18, 34 or 50.
        net: sizes, decay and seed.
        init: name of the convolutions' initializer.
    """
    make_block = bottleneck if depth >= 50 else basic_block
    images = net.images(at_least=8)
    x = _stem(net, images, init)
    for stage, (blocks, filters) in enumerate(zip(BLOCKS[depth], (64, 128, 256, 512), strict=True), start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            y = make_block(net, x, net.channels(filters), stride=stride, init=init, name=name)
            x = join(net, x, y, stride=stride, shortcut="projection", init=init, name=name)
    return net.classify(images, x)


def _stem(net: Blueprint, images: Any, init: str) -> Any:
    if net.small_image:
        return net.conv_norm(images, net.channels(64), 3, init=init, name="conv1")
    x = net.conv_norm(images, net.channels(64), 7, stride=2, init=init, name="conv1")
    x = keras.layers.ZeroPadding2D(1, name="conv1_pool_pad")(x)  # after a ReLU, 0 never wins over a real pixel
    return keras.layers.MaxPooling2D(3, strides=2, name="conv1_pool")(x)


def basic_block(net: Blueprint, x: Any, filters: int, *, stride: int, init: str, name: str) -> Any:
    """Returns the residual branch of two 3 x 3 convolutions (He et al., fig. 5 left)."""
    y = net.conv_norm(x, filters, 3, stride=stride, init=init, name=f"{name}_conv1")
    return net.conv_norm(y, filters, 3, init=init, activation=None, name=f"{name}_conv2")


def bottleneck(net: Blueprint, x: Any, filters: int, *, stride: int, init: str, name: str) -> Any:
    """Returns the residual branch of 1 x 1, 3 x 3 and 1 x 1 convolutions (He et al., fig. 5 right)."""
    y = net.conv_norm(x, filters, 1, init=init, name=f"{name}_conv1")
    y = net.conv_norm(y, filters, 3, stride=stride, init=init, name=f"{name}_conv2")
    return net.conv_norm(y, 4 * filters, 1, init=init, activation=None, name=f"{name}_conv3")


def join(net: Blueprint, x: Any, y: Any, *, stride: int, shortcut: str, init: str, name: str) -> Any:
    """Returns relu(x + y), where x goes through the shortcut if its shape is not y's."""
    if x.shape != y.shape and shortcut == "projection":
        name_of_conv = f"{name}_shortcut"
        x = net.conv_norm(x, y.shape[-1], 1, stride=stride, init=init, activation=None, name=name_of_conv)
    elif x.shape != y.shape:
        x = _subsampled(x, y.shape[-1], stride, name)
    x = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def _subsampled(x: Any, channels: int, stride: int, name: str) -> Any:
    """Returns every second pixel of x, with channels of zeros on both sides (He et al., option A)."""
    x = keras.layers.AveragePooling2D(1, strides=stride, name=f"{name}_shortcut_subsample")(x)
    missing = channels - x.shape[-1]
    # Told that the channels come first, the layer pads the last two axes: (width, channels) of our images.
    padding = ((0, 0), (missing // 2, missing - missing // 2))
    return keras.layers.ZeroPadding2D(padding, data_format="channels_first", name=f"{name}_shortcut_pad")(x)


for _depth in (20, 32, 56):
    NETWORKS.register(f"resnet_{_depth}")(functools.partial(cifar_resnet, _depth))
for _depth in BLOCKS:
    NETWORKS.register(f"resnet_{_depth}")(functools.partial(imagenet_resnet, _depth))
