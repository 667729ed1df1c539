"""Networks by name, for experiments, tests and benchmarks: functional, uncompiled Keras models that give logits.

| name | reference |
| --- | --- |
| `lenet_300_100` `lenet_5` | LeCun et al. 1998; Caffe |
| `conv_2` `conv_4` `conv_6` | Frankle & Carbin 2019, fig. 2 |
| `conv_8` | Ramanujan et al. 2020, table 1 |
| `vgg_11` `vgg_16` `vgg_19` | Simonyan & Zisserman 2015, table 1 A, D, E, with BatchNorm |
| `resnet_20` `resnet_32` `resnet_56` | He et al. 2016, sec. 4.2 |
| `resnet_18` `resnet_34` `resnet_50` | He et al. 2016, table 1 |
| `wrn_16_8` `wrn_22_8` `wrn_28_2` `wrn_28_10` | Zagoruyko & Komodakis 2016, table 1 |
| `mobilenet_v1` | Howard et al. 2017, table 1 |
| `mobilenet_v2` | Sandler et al. 2018, table 2 |
| `vit_tiny` | Dosovitskiy et al. 2021; Touvron et al. 2021, table 1 |
| `text_transformer` | Vaswani et al. 2017; Devlin et al. 2019 |
| `lstm` | Hochreiter & Schmidhuber 1997; Lee et al. 2019, table 2 |
| `applications:NAME` | any model of keras.applications |

Each family's module holds the full reference and what differs from it.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tf_pai.networks import conv, lenet, mobilenet, resnet, text, vgg, vit, wide_resnet  # noqa: F401
from tf_pai.networks.applications import APPLICATIONS, PREFIX, build_application, options_of
from tf_pai.networks.blueprint import NETWORKS, Blueprint
from tf_pai.registry import nearest

__all__ = ["NETWORKS", "build", "list_networks"]


def build(
    name: str,
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: float = 1.0,
    weight_decay: float = 0.0,
    seed: int | None = None,
    **options: Any,
) -> keras.Model:
    """Builds the network called `name`, uncompiled and with random weights.

    Args:
        name: one of `list_networks()`, or "applications:" and a model of keras.applications.
        input_shape: shape of one example without the batch axis: (height, width, channels) or (length,).
        classes: number of logits.
        width: factor on every channel and unit count inside the network.
        weight_decay: adds `weight_decay * w` to the gradient of kernels, embeddings and biases, as torch's SGD does,
            through a penalty of 0.5 * weight_decay * sum(w ** 2); normalisation parameters are left out.
        seed: same seed, same weights, bit for bit; each weight draws from a seed of its own. None for other weights
            each time.
        **options: the network's own, e.g. `shortcut="identity"` for resnet_20.

    Raises:
        ValueError: the name or an option is unknown, or the input shape does not fit the network.

    Example:
        >>> model = build("lenet_300_100", input_shape=(28, 28, 1), classes=10, seed=0)
        >>> model.count_params(), model.output_shape
        (266610, (None, 10))
    """
    if str(name).startswith(PREFIX):
        builder, valid = build_application, options_of(name.removeprefix(PREFIX))
    else:
        builder = NETWORKS.find(name)
        valid = inspect.getfullargspec(builder).kwonlyargs
    _refuse_unknown(name, options, valid)
    return builder(Blueprint(name, input_shape, classes, width, weight_decay, seed), **options)


def list_networks(applications: bool = False) -> list[str]:
    """Returns the names that `build` takes, sorted.

    Args:
        applications: also those of the models of keras.applications, after the others.

    Example:
        >>> [name for name in list_networks() if name.startswith("vgg")]
        ['vgg_11', 'vgg_16', 'vgg_19']
    """
    return NETWORKS.names() + [PREFIX + name for name in APPLICATIONS if applications]


def _refuse_unknown(name: str, options: dict[str, Any], valid: list[str]) -> None:
    for option, value in options.items():
        if option not in valid:
            raise ValueError(
                f"Unknown option of {name}. Received: {option}={value!r}.{nearest(option, valid)} "
                f"Valid options: {', '.join(valid) or 'none'}."
            )
