"""LeNets for MNIST.

| name | reference |
| --- | --- |
| `lenet_300_100` | LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998, III.C.4 |
| `lenet_5` | the same paper, II.B, in the form of Caffe's `lenet.prototxt` |
"""

from __future__ import annotations

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint


@NETWORKS.register("lenet_300_100")
def lenet_300_100(net: Blueprint, *, init: str = "he_fan_in") -> keras.Model:
    """Builds the multilayer perceptron 300-100, which takes inputs of any shape.

    Differs from the paper in: ReLU for tanh, logits for RBF-like outputs, He-normal kernels and zero biases.
    The lottery ticket paper (Frankle & Carbin, ICLR 2019, fig. 2) starts from `init="glorot_normal"`.

    Args:
        net: sizes, decay and seed.
        init: name of the kernels' initializer.
    """
    inputs = keras.Input(net.input_shape, name="inputs")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = net.dense(x, net.channels(300), activation="relu", init=init, name="dense1")
    x = net.dense(x, net.channels(100), activation="relu", init=init, name="dense2")
    return net.classify(inputs, x, init=init)


@NETWORKS.register("lenet_5")
def lenet_5(net: Blueprint, *, init: str = "he_fan_in") -> keras.Model:
    """Builds Caffe's LeNet-5: 20 and 50 filters of 5 x 5, each max-pooled, then 500 units.

    As in Caffe and in SNIP's own code (Lee et al., ICLR 2019, sec. 5.1), no ReLU follows the convolutions: the
    max-pooling and the ReLU of the 500 units are the only nonlinearities.
    Differs from the paper (LeCun et al. 1998, fig. 2) in: filter counts, max-pooling, full connection of the maps.

    Args:
        net: sizes, decay and seed.
        init: name of the kernels' initializer.
    """
    images = x = net.images(at_least=16)
    for index, filters in enumerate((20, 50), start=1):
        x = net.conv(x, net.channels(filters), 5, padding="valid", use_bias=True, init=init, name=f"conv{index}")
        x = keras.layers.MaxPooling2D(name=f"pool{index}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = net.dense(x, net.channels(500), activation="relu", init=init, name="dense1")
    return net.classify(images, x, init=init)
