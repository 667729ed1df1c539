"""Wide residual networks.

| name | reference |
| --- | --- |
| `wrn_16_8` `wrn_22_8` `wrn_28_2` `wrn_28_10` | Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016, table 1 |
"""

from __future__ import annotations

import functools
from typing import Any

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint


def wide_resnet(
    depth: int, widening: int, net: Blueprint, *, dropout: float = 0.0, init: str = "he_fan_out"
) -> keras.Model:
    """Builds three stages of (depth - 4) / 6 pre-activation blocks with 16, 32 and 64 times `widening` channels.

    Differs from the paper in: nothing known. SNIP and SNFS prune these networks without dropout and with dropout .3.

    Args:
        depth: number of convolutions in the main path.
        widening: the paper's k; `width` scales it further.
        net: sizes, decay and seed.
        dropout: rate between the two convolutions of a block (sec. 2.4).
        init: name of the convolutions' initializer.
    """
    images = net.images(at_least=4)
    x = net.conv(images, net.channels(16), 3, init=init, name="conv1")
    for stage, base in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 4) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            filters = net.channels(base * widening)
            x = _block(net, x, filters, stride=stride, dropout=dropout, init=init, name=name)
    return net.classify(images, net.norm(x, name="bn"))


def _block(net: Blueprint, x: Any, filters: int, *, stride: int, dropout: float, init: str, name: str) -> Any:
    """Returns x + conv(relu(bn(conv(relu(bn(x)))))); a 1 x 1 projection of relu(bn(x)) replaces x of another shape."""
    activated = net.norm(x, name=f"{name}_bn1")
    y = net.conv(activated, filters, 3, stride=stride, init=init, name=f"{name}_conv1")
    y = net.dropout(net.norm(y, name=f"{name}_bn2"), dropout, name=f"{name}_dropout")
    y = net.conv(y, filters, 3, init=init, name=f"{name}_conv2")
    if x.shape != y.shape:
        x = net.conv(activated, filters, 1, stride=stride, init=init, name=f"{name}_shortcut")
    return keras.layers.Add(name=f"{name}_add")([x, y])


for _depth, _widening in ((16, 8), (22, 8), (28, 2), (28, 10)):
    NETWORKS.register(f"wrn_{_depth}_{_widening}")(functools.partial(wide_resnet, _depth, _widening))
