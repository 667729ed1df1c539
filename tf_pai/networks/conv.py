"""Conv-2, -4, -6 and -8: VGG cut down for CIFAR-10, the small networks of the lottery ticket papers.

| name | reference |
| --- | --- |
| `conv_2` `conv_4` `conv_6` | Frankle & Carbin, "The Lottery Ticket Hypothesis", ICLR 2019, fig. 2 |
| `conv_8` | Ramanujan et al., "What's Hidden in a Randomly Weighted Neural Network?", CVPR 2020, table 1 |
"""

from __future__ import annotations

import functools

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint

WIDTHS = (64, 128, 256, 512)


def conv(depth: int, net: Blueprint, *, init: str = "glorot_normal") -> keras.Model:
    """Builds depth / 2 stages of two 3 x 3 convolutions and a max-pooling, then 256, 256 and `classes` units.

    No BatchNorm; ReLU and biases throughout. Conv-2, -4 and -6 start from the paper's Gaussian Glorot; Ramanujan
    et al. start Conv-8 from He-normal, `init="he_fan_in"`.
    Differs from the paper in: nothing known. Its fig. 2 prints 1.7M weights for Conv-6, but the layers listed there
    make 2.26M.

    Args:
        depth: number of convolutions, 2, 4, 6 or 8.
        net: sizes, decay and seed.
        init: name of the kernels' initializer.
    """
    stages = depth // 2
    images = x = net.images(at_least=2**stages)
    for stage, filters in enumerate(WIDTHS[:stages], start=1):
        for index in (1, 2):
            name = f"stage{stage}_conv{index}"
            x = net.conv(x, net.channels(filters), 3, use_bias=True, activation="relu", init=init, name=name)
        x = keras.layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = net.dense(x, net.channels(256), activation="relu", init=init, name=f"dense{index}")
    return net.classify(images, x, init=init)


for _depth in (2, 4, 6, 8):
    NETWORKS.register(f"conv_{_depth}")(functools.partial(conv, _depth))
