"""What every network builder is given: the sizes asked for, and layers that carry weight decay and a seed.

A builder takes a `Blueprint` and its own options, and gives a functional, uncompiled `keras.Model` with logits
as output. Only Keras' own layers are used, so that a network loads where tf_pai is not installed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import numbers
from collections.abc import Callable, Collection
from typing import Any

import keras

from tf_pai.registry import Registry, nearest

NETWORKS: Registry[Callable[..., keras.Model]] = Registry("network")

SMALL_IMAGE = 64
"""Sides in pixels up to which a network that was made for ImageNet takes its stem for small images."""

_scaled_normal = functools.partial(keras.initializers.VarianceScaling, distribution="untruncated_normal")
INITIALIZERS: dict[str, Callable[..., keras.initializers.Initializer]] = {
    "he_fan_in": functools.partial(_scaled_normal, scale=2.0, mode="fan_in"),
    "he_fan_out": functools.partial(_scaled_normal, scale=2.0, mode="fan_out"),
    "glorot_normal": functools.partial(_scaled_normal, scale=1.0, mode="fan_avg"),
    "normal_0.01": functools.partial(keras.initializers.RandomNormal, stddev=0.01),
    "normal_0.02": functools.partial(keras.initializers.RandomNormal, stddev=0.02),
}
"""Kernel initializers by the name of the `init` option; `keras.initializers.HeNormal` would truncate its normal."""


def require(fits: bool, rule: str, advice: str, **received: Any) -> None:
    """Raises a ValueError with the rule, what was received and what to do, unless `fits`."""
    if not fits:
        shown = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(f"{rule} Received: {shown}. {advice}")


def require_choice(option: str, value: Any, valid: Collection[str]) -> None:
    """Raises a ValueError that names the valid values of `option`, and the nearest one, unless `value` is valid."""
    listed = ", ".join(repr(choice) for choice in valid)
    hint = nearest(str(value), list(valid)).strip() or "Choose one of them."
    require(value in valid, f"{option} is one of {listed}.", hint, **{option: value})


def require_count(**counts: Any) -> None:
    """Raises a ValueError unless every value is a positive integer."""
    for name, value in counts.items():
        require(_is_count(value), f"{name} is a positive integer.", f"Give {name} as 1, 2, 3, ...", **{name: value})


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """The sizes of one network, and the makers of its layers.

    Attributes:
        name: name of the network, and of the model.
        input_shape: shape of one example, without the batch axis.
        classes: number of logits.
        width: factor on every channel and unit count inside the network.
        weight_decay: gradient added per unit of weight, i.e. a penalty of 0.5 * weight_decay * sum(w ** 2).
        seed: every weight draws from a seed of its own, derived from this one and from the weight's name;
            None for different weights in each build.

    Raises:
        ValueError: a size is out of range.
    """

    name: str
    input_shape: tuple[int, ...]
    classes: int
    width: float = 1.0
    weight_decay: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        shape = self.input_shape
        require(
            isinstance(shape, tuple | list) and len(shape) > 0 and all(map(_is_count, shape)),
            "input_shape is a tuple of positive integers, without the batch axis.",
            "Give e.g. (32, 32, 3) for images or (64,) for token ids.",
            input_shape=shape,
        )
        object.__setattr__(self, "input_shape", tuple(int(side) for side in shape))
        require_count(classes=self.classes)
        advice = "Leave it at 1.0, or give e.g. 0.25."
        require(_is_number(self.width) and self.width > 0, "width is a positive number.", advice, width=self.width)
        advice = "Give e.g. 5e-4, or 0.0 for none."
        usable = _is_number(self.weight_decay) and self.weight_decay >= 0
        require(usable, "weight_decay is a number of at least 0.", advice, weight_decay=self.weight_decay)
        usable = self.seed is None or _is_integer(self.seed)
        require(usable, "seed is an integer or None.", "Give e.g. seed=0.", seed=self.seed)

    def channels(self, count: int) -> int:
        """Returns `count` scaled by the width, at least 1."""
        return max(1, round(count * self.width))

    @property
    def small_image(self) -> bool:
        """Whether both sides of the image are at most `SMALL_IMAGE` pixels."""
        return max(self.input_shape[:2]) <= SMALL_IMAGE

    def seed_of(self, weight: str) -> int | None:
        """Returns the seed of one weight, a hash of `seed` and the weight's name; None where nothing is seeded."""
        if self.seed is None:
            return None
        digest = hashlib.blake2s(f"{self.seed}/{weight}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") >> 1  # fits a signed 32-bit integer

    def initializer(self, init: str, weight: str) -> keras.initializers.Initializer:
        """Returns the initializer called `init`, seeded for `weight`."""
        require_choice("init", init, INITIALIZERS)
        return INITIALIZERS[init](seed=self.seed_of(weight))

    def decay(self) -> keras.regularizers.Regularizer | None:
        """Returns the penalty whose gradient is `weight_decay * w`, as torch's SGD adds it; None for no decay."""
        return keras.regularizers.L2(self.weight_decay / 2) if self.weight_decay else None

    def images(self, at_least: int) -> keras.KerasTensor:
        """Returns the input of a network that needs images of `at_least` pixels a side."""
        shape = self.input_shape
        require(
            len(shape) == 3 and min(shape[:2]) >= at_least,
            f"{self.name} takes images (height, width, channels) of at least {at_least} x {at_least} pixels.",
            "Give such images, or choose another network: tf_pai.networks.list_networks().",
            input_shape=shape,
        )
        return keras.Input(shape, name="images")

    def tokens(self) -> keras.KerasTensor:
        """Returns the input of a network that reads token ids; id 0 is padding."""
        require(
            len(self.input_shape) == 1,
            f"{self.name} takes token ids, whose input_shape is (length,).",
            "Give e.g. (64,), or choose a network for images: tf_pai.networks.list_networks().",
            input_shape=self.input_shape,
        )
        return keras.Input(self.input_shape, dtype="int32", name="tokens")

    def conv(
        self, x: Any, filters: int, size: int, *, name: str, stride: int = 1, init: str = "he_fan_out", **options: Any
    ) -> Any:
        """Returns a convolution of x that keeps the size of the image, or halves it where stride is 2."""
        x, padding = _padded(x, size, stride, name)
        arguments = {"padding": padding, "use_bias": False, **self._kernel(init, name), **options}
        return keras.layers.Conv2D(filters, size, strides=stride, name=name, **arguments)(x)

    def depthwise(self, x: Any, size: int, *, name: str, stride: int = 1) -> Any:
        """Returns x convolved channel by channel.

        Always He fan-out, 2 / size ** 2: Keras counts the channels into the fan-in, though no filter sums over them.
        """
        x, padding = _padded(x, size, stride, name)
        layer = keras.layers.DepthwiseConv2D(
            size,
            strides=stride,
            padding=padding,
            use_bias=False,
            depthwise_initializer=self.initializer("he_fan_out", name),
            depthwise_regularizer=self.decay(),
            name=name,
        )
        return layer(x)

    def norm(self, x: Any, *, name: str, activation: str | None = "relu") -> Any:
        """Returns x batch-normalised with torch's constants (momentum .9, epsilon 1e-5), then activated."""
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
        return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x

    def conv_norm(
        self, x: Any, filters: int, size: int, *, name: str, activation: str | None = "relu", **conv: Any
    ) -> Any:
        """Returns convolution, BatchNorm and activation of x: layers `name`, `name`_bn, `name`_bn_relu."""
        return self.norm(self.conv(x, filters, size, name=name, **conv), name=f"{name}_bn", activation=activation)

    def dense(self, x: Any, units: int, *, name: str, init: str = "he_fan_in", activation: str | None = None) -> Any:
        """Returns a fully connected layer of x."""
        return keras.layers.Dense(units, activation=activation, name=name, **self._kernel(init, name))(x)

    def dropout(self, x: Any, rate: float, *, name: str) -> Any:
        """Returns x with seeded dropout, or x itself where the rate is 0."""
        require(_is_number(rate) and 0 <= rate < 1, "dropout is a rate in [0, 1).", "Give e.g. 0.1.", dropout=rate)
        return keras.layers.Dropout(rate, seed=self.seed_of(name), name=name)(x) if rate else x

    def classify(self, inputs: Any, x: Any, *, init: str = "he_fan_in") -> keras.Model:
        """Returns the model that ends in the logits of x, whose pixels are averaged where it has any."""
        if len(x.shape) == 4:
            x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.Model(inputs, self.dense(x, self.classes, name="classifier", init=init), name=self.name)

    def _kernel(self, init: str, name: str) -> dict[str, Any]:
        initializer = self.initializer(init, name)
        return {
            "kernel_initializer": initializer,
            "kernel_regularizer": self.decay(),
            "bias_regularizer": self.decay(),
        }


def _padded(x: Any, size: int, stride: int, name: str) -> tuple[Any, str]:
    # "same" pads a strided convolution on one side only; torch and the papers' code pad both sides alike.
    if stride == 1 or size == 1:
        return x, "same"
    return keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x), "valid"
