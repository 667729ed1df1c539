"""VGG-11, -16 and -19 with BatchNorm, in the form used on CIFAR.

| name | reference |
| --- | --- |
| `vgg_11` `vgg_16` `vgg_19` | Simonyan & Zisserman, "Very Deep Convolutional Networks", ICLR 2015, table 1, A, D, E |

The ImageNet form with its three dense layers is `applications:VGG16` and `applications:VGG19`.
"""

from __future__ import annotations

import functools

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def vgg(depth: int, net: Blueprint, *, init: str = "he_fan_out") -> keras.Model:
    """Builds five stages of 3 x 3 convolutions with BatchNorm and ReLU, max-pooled in between, and one classifier.

    `vgg_16` with width=0.25 is the network of the layer-collapse measurements: 16, 16, 32, 32, 64 x 3, 128 x 6
    channels and .92M weights.
    Differs from the paper in: BatchNorm, which makes the convolutions' biases void, so they have none; an average
    over the pixels and one classifier, N(0, .01^2), for the last pooling and the three dense layers.

    Args:
        depth: 11, 16 or 19.
        net: sizes, decay and seed.
        init: name of the convolutions' initializer.
    """
    images = x = net.images(at_least=16)
    for stage, (convolutions, filters) in enumerate(zip(CONVOLUTIONS[depth], WIDTHS, strict=True), start=1):
        if stage > 1:
            x = keras.layers.MaxPooling2D(name=f"stage{stage - 1}_pool")(x)
        for index in range(1, convolutions + 1):
            x = net.conv_norm(x, net.channels(filters), 3, init=init, name=f"stage{stage}_conv{index}")
    return net.classify(images, x, init="normal_0.01")


for _depth in CONVOLUTIONS:
    NETWORKS.register(f"vgg_{_depth}")(functools.partial(vgg, _depth))
