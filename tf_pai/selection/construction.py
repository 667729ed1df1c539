"""Constructions: a subnet of a wide random network that computes what a small trained one does."""

from __future__ import annotations

import abc
import dataclasses
import logging
import math
import numbers
from collections.abc import Iterator

import keras
import numpy as np

from tf_pai.layers.rebuilding import compile_like
from tf_pai.masks import Masks, set_masks
from tf_pai.selection.target import TargetLayer, chain_of, entry_errors

LARGEST = 50.0  # an epsilon of e to this power promises nothing
Edge = tuple[int, int, int]  # (input, neuron, output)


@dataclasses.dataclass(frozen=True)
class Constructed:
    """What `Construction.build` returns.

    Attributes:
        model: the wide random network, with the masks of the subnet.
        epsilon: what the theorem promises of these widths, with probability 1 - delta: the largest distance of the
            outputs from the target's.
        widths: neurons of each block.
    """

    model: keras.Model
    epsilon: float
    widths: list[int]


class Construction(abc.ABC):
    """A proof as a program: each layer of the target becomes a block of two random layers, of which a subnet is kept.

    A block computes U^T relu(V^T h). A weight w from i to o is made of neurons j of its own: each keeps one weight
    V[i, j] and one weight U[j, o], and so computes U[j, o] relu(V[i, j] h_i). One with V > 0 serves positive inputs,
    one with V < 0 negative ones, with the product U V near w in both. No weight is changed.

    Args:
        epsilon: largest distance of the outputs from the target's, for all inputs of norm at most `radius`; the blocks
            are then as wide as the theorem says.
        width: neurons of each block, in place of `epsilon`.
        delta: probability that a random network has no such subnet.
        radius: largest norm of an input.
        limit: number of weights of the wide network. Where epsilon asks for more, epsilon grows, with a warning.

    Raises:
        ValueError: a number outside its range.
    """

    def __init__(
        self,
        epsilon: float = 0.1,
        width: int | None = None,
        delta: float = 0.01,
        radius: float = 1.0,
        limit: int = 2**24,
    ):
        for name, value, highest in (
            ("epsilon", epsilon, math.inf),
            ("delta", delta, 1.0),
            ("radius", radius, math.inf),
        ):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < highest:
                raise ValueError(f"{name} lies between 0 and {highest:g}. Received: {name}={value!r}.")
        for name, number in (("width", 1 if width is None else width), ("limit", limit)):
            if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < 1:
                raise ValueError(f"{name} is a whole number, 1 or more. Received: {name}={number!r}.")
        self.epsilon, self.width, self.delta, self.radius, self.limit = epsilon, width, delta, radius, limit

    @abc.abstractmethod
    def theorem_width(self, layer: TargetLayer, error: float, delta: float) -> float:
        """Returns how many neurons a block needs, for each weight to be within `error` with probability 1 - delta."""

    @abc.abstractmethod
    def initializers(self, layer: TargetLayer, error: float, seeds: list[int]) -> list[keras.Initializer]:
        """Returns what V and U are drawn from."""

    @abc.abstractmethod
    def choose(self, layer: TargetLayer, error: float, v: np.ndarray, u: np.ndarray) -> Iterator[Edge]:
        """Yields the weights that stay, as (input, neuron, output); each neuron at most once.

        Args:
            layer: the target's layer.
            error: that each of its weights may have.
            v: [inputs, neurons].
            u: [neurons, outputs].
        """

    def widths(self, chain: list[TargetLayer], epsilon: float) -> list[float]:
        """Returns how many neurons each block needs, for outputs within epsilon."""
        errors = entry_errors(chain, epsilon, self.radius)
        return [self.theorem_width(c, e, self.delta / len(chain)) for c, e in zip(chain, errors, strict=True)]

    def guaranteed(self, chain: list[TargetLayer]) -> float:
        """Returns the epsilon that the theorem promises: the one asked for, or what `width` or `limit` suffice for."""

        def suffices(epsilon: float) -> bool:
            widths = self.widths(chain, epsilon)
            if self.width is not None:
                return max(widths) <= self.width
            return sum(w * sum(c.kernel.shape) for w, c in zip(widths, chain, strict=True)) <= self.limit

        if self.width is None and suffices(self.epsilon):
            return self.epsilon
        low, high = -30.0, LARGEST
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if suffices(math.exp(middle)) else (middle, high)
        return math.exp(high)

    def build(self, target: keras.Model, seed: int = 0) -> Constructed:
        """Draws the wide network and finds the subnet.

        Args:
            target: as `chain_of` takes it; it is not changed.
            seed: of the wide network.

        Raises:
            ValueError: a target of another form.
        """
        chain = chain_of(target)
        epsilon = self.guaranteed(chain)
        if self.width is None and epsilon > self.epsilon:
            logging.getLogger("tf_pai").warning(
                "%s needs widths of %s for epsilon=%g, more than limit=%d weights; this network promises %.3g.",
                type(self).__name__,
                ", ".join(f"{w:.3g}" for w in self.widths(chain, self.epsilon)),
                self.epsilon,
                self.limit,
                epsilon,
            )
        wanted = self.widths(chain, epsilon)
        widths = [self.width or math.ceil(w) for w in wanted]
        errors = entry_errors(chain, epsilon, self.radius)
        wide = self._wide(target, chain, widths, errors, seed)
        masks: Masks = {}
        for layer, error in zip(chain, errors, strict=True):
            v, u = (wide.get_layer(f"{layer.name}_{part}").kernel.numpy() for part in ("in", "out"))
            masks |= _masks(layer, v.shape, u.shape, self.choose(layer, error, v, u))
        model = set_masks(wide, masks)
        model.trainable = False
        compile_like(target, model)
        return Constructed(model, epsilon if epsilon < math.exp(LARGEST - 1) else math.inf, widths)

    def _wide(
        self, target: keras.Model, chain: list[TargetLayer], widths: list[int], errors: list[float], seed: int
    ) -> keras.Model:
        inputs = keras.Input(target.input_shape[1:])
        h = keras.layers.Flatten()(inputs) if len(target.input_shape) > 2 else inputs
        for i, (layer, width, error) in enumerate(zip(chain, widths, errors, strict=True)):
            place = 2 * (seed * len(chain) + i)
            first, second = self.initializers(layer, error, [place, place + 1])
            if layer.has_bias:
                h = keras.ops.concatenate([h, keras.ops.ones_like(h[:, :1])], -1)
            dense = {"use_bias": False, "dtype": "float32"}
            h = keras.layers.Dense(width, "relu", kernel_initializer=first, name=f"{layer.name}_in", **dense)(h)
            outputs = layer.kernel.shape[1]
            h = keras.layers.Dense(
                outputs, layer.activation, kernel_initializer=second, name=f"{layer.name}_out", **dense
            )(h)
        return keras.Model(inputs, h, name=f"{target.name}_subnet")


def _masks(
    layer: TargetLayer, inner: tuple[int, ...], outer: tuple[int, ...], edges: Iterator[Edge]
) -> dict[str, np.ndarray]:
    masks = {f"{layer.name}_in/kernel": np.zeros(inner, bool), f"{layer.name}_out/kernel": np.zeros(outer, bool)}
    first, second = masks.values()
    for i, j, o in edges:
        first[i, j] = second[j, o] = True
    return masks


def neurons_for(needs: int, probability: float, delta: float) -> float:
    """Returns M such that M neurons, each fit for a need with `probability`, are enough for `needs` of them.

    2 needs + 8 log(needs / delta) are then fit on average for each, and by Chernoff's bound at least `needs` are, for
    all of them together, with probability 1 - delta: whichever the others have taken, one is left.
    """
    return (2 * needs + 8 * math.log(needs / delta)) / probability if needs else 1.0
