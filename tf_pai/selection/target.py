"""A small trained network as a chain of ReLU layers, the form in which the theorems take it."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np

from tf_pai.layers.paths import is_graph

# No slope is above 1: what is within epsilon before them is so after them.
LAST = (
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "softplus",
    "softsign",
    "softmax",
)


@dataclasses.dataclass(frozen=True)
class TargetLayer:
    """One layer, h -> activation(kernel^T h).

    Attributes:
        name: the layer's name.
        kernel: [inputs, outputs]; a bias is its last row, for an input that is always 1.
        activation: Keras activation.
        has_bias: whether that row is there.
        nonnegative: whether no input is below 0, as after a ReLU.
    """

    name: str
    kernel: np.ndarray
    activation: str
    has_bias: bool
    nonnegative: bool

    @property
    def norm(self) -> float:
        """The largest singular value of the kernel, without a bias."""
        kernel = self.kernel[:-1] if self.has_bias else self.kernel
        return float(np.linalg.norm(kernel, 2))

    @property
    def largest(self) -> float:
        """The largest magnitude of a weight."""
        return float(np.abs(self.kernel).max(initial=0.0))

    def signs(self, place: int) -> tuple[int, ...]:
        """The signs that the input at `place` can have."""
        always_positive = self.nonnegative or (self.has_bias and place == len(self.kernel) - 1)
        return (1,) if always_positive else (1, -1)


def chain_of(model: keras.Model) -> list[TargetLayer]:
    """Returns the layers of a target network.

    Args:
        model: Dense layers with ReLU between them, and at the end an activation of `LAST`; inputs may be flattened
            before.

    Raises:
        ValueError: another layer, activation or way through the layers; the message names it.
    """
    chain = _dense_layers(model)
    if chain[-1].activation not in LAST:
        raise ValueError(
            f"A target ends in an activation that makes no error larger, one of {', '.join(LAST)}. Received: "
            f"{chain[-1].name!r} with activation {chain[-1].activation!r}. Leave it out of the target."
        )
    if not _computes(model, chain):
        raise ValueError(
            "A target is a chain: each Dense layer takes what the one before gives, and is called once. Received: "
            f"{model.name!r}, which computes something else."
        )
    return chain


def _computes(model: keras.Model, chain: list[TargetLayer]) -> bool:
    """Whether each layer is called once, and the chain's outputs are the model's on random inputs."""
    if not is_graph(model) or len(model.inputs) != 1 or len(model.outputs) != 1 or None in model.input_shape[1:]:
        return False
    graph = getattr(model, "_functional", None) or model
    if sum(map(len, graph._nodes_by_depth.values())) != len(graph.operations):  # a layer is called twice
        return False
    x = np.random.default_rng(0).standard_normal((16, *model.input_shape[1:])).astype("float32")
    wanted, h = np.asarray(keras.ops.convert_to_numpy(model(x, training=False)), "float64"), x.reshape(16, -1)
    for layer in chain:
        h = np.hstack([h, np.ones((16, 1))]) if layer.has_bias else h
        if h.shape[1] != len(layer.kernel):
            return False
        h = keras.ops.convert_to_numpy(
            keras.activations.get(layer.activation)(keras.ops.convert_to_tensor(h @ layer.kernel))
        )
    return wanted.shape == h.shape and np.allclose(wanted, h, rtol=0.02, atol=0.02 * np.abs(h).max(initial=1e-6))


def _dense_layers(model: keras.Model) -> list[TargetLayer]:
    """The Dense layers, in the order of `model.layers`."""
    chain: list[TargetLayer] = []
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    for layer in layers:
        if isinstance(layer, keras.layers.Flatten) and not chain:
            continue
        if isinstance(layer, (keras.layers.ReLU, keras.layers.Activation)) and chain:
            name = _rectifier(layer) if isinstance(layer, keras.layers.ReLU) else _name(layer.activation)
            if chain[-1].activation == "linear":
                chain[-1] = dataclasses.replace(chain[-1], activation=name)
                continue
        if not isinstance(layer, keras.layers.Dense):
            raise ValueError(
                "A target is a chain of Dense layers with ReLU between them. Received: "
                f"{type(layer).__name__} {layer.name!r}. Distil the network into such a chain first."
            )
        if chain and chain[-1].activation != "relu":
            raise ValueError(
                f"A target is a chain of Dense layers with ReLU between them. Received: {chain[-1].name!r} with "
                f"activation {chain[-1].activation!r} before {layer.name!r}."
            )
        kernel = layer.kernel.numpy().astype("float64")
        if layer.use_bias:
            kernel = np.vstack([kernel, layer.bias.numpy()])
        chain.append(TargetLayer(layer.name, kernel, _name(layer.activation), layer.use_bias, bool(chain)))
    if not chain:
        raise ValueError(f"A target has a Dense layer. Received: {model.name!r} without one.")
    return chain


def _rectifier(layer: keras.layers.ReLU) -> str:
    plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
    return "relu" if plain else "ReLU of other settings"


def _name(activation: object) -> str:
    return getattr(activation, "__name__", type(activation).__name__)


def entry_errors(chain: list[TargetLayer], epsilon: float, radius: float) -> list[float]:
    """Returns, for each layer, the error of a single weight under which the outputs are within epsilon.

    With layers W, norms s and an error e of each of a layer's n_in * n_out weights, an input of norm a and error r
    gives an error of at most s r + e sqrt(n_in n_out) (a + r). Each of L layers may add epsilon / L to the output.

    Args:
        chain: the target's layers.
        epsilon: largest distance of the outputs, over all inputs of norm at most `radius`.
        radius: of the inputs.
    """
    after = [math.prod(max(layer.norm, 1e-12) for layer in chain[i + 1 :]) for i in range(len(chain))]
    errors, size, error = [], radius, 0.0
    for layer, amplified in zip(chain, after, strict=True):
        size = math.hypot(size, 1.0) if layer.has_bias else size
        added = epsilon / (len(chain) * amplified)
        errors.append(added / (math.sqrt(layer.kernel.size) * (size + error)))
        error = layer.norm * error + added
        size = float(np.linalg.norm(layer.kernel, 2)) * size
    return errors
