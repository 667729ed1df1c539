"""Which layers and weights a model holds, what they are called, and which of them can be pruned.

Keras' own `variable.path` is not unique (two nested models may use the same layer names), and layers inside
attributes carry counted names ("dense_7") that differ from session to session. A path here is the way through
the layer tree, is unique, and is the same before and after a layer is wrapped.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.models.functional import Functional
from keras.src.utils.naming import to_snake_case

# Adapters are additions to a weight, and scales or offsets of a normalisation are no connections.
_NEVER_PRUNED = re.compile(r"bias|gamma|beta|lora_|(^|_)scale$|moving_")
_NO_CHILDREN = (
    "_layers",
    "_functional",
    "_operations",
    "_nodes",
    "_inbound_nodes",
    "_outbound_nodes",
    "_tracker",
    "_metrics",
)


def is_graph(layer: Any) -> bool:
    """Tells whether `layer` is a Sequential or functional model, which Keras can rebuild from its layers."""
    return isinstance(layer, (keras.Sequential, Functional))


def has_config(layer: Any) -> bool:
    """Tells whether `layer` (or a graph operation) can be made again from its configuration."""
    try:
        layer.get_config()
    except NotImplementedError:
        return False
    return True


def unwrapped(layer: Any) -> Any:
    """Returns the layer that a wrapper which takes no place in a path holds, or `layer` itself."""
    return layer.layer if getattr(layer, "takes_no_path_level", False) else layer


def _is_auto_named(layer: keras.Layer) -> bool:
    kind = to_snake_case(getattr(layer, "stands_for", type(layer)).__name__)
    return re.fullmatch(rf"(sparse_|fused_)?{kind}(_\d+)?", layer.name) is not None  # a form keeps the other's name


def attribute_paths(layer: keras.Layer) -> dict[int, str]:
    """Returns {id of a layer: attribute path} for each layer in an attribute, list, tuple or dict of `layer`."""
    found: dict[int, str] = {}

    def visit(path: str, value: Any) -> None:
        if isinstance(value, keras.Layer):
            found.setdefault(id(value), path)
        elif isinstance(value, (list, tuple, dict)):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                visit(f"{path}/{key}", item)

    for name, value in vars(layer).items():
        if name not in _NO_CHILDREN and not name.startswith("_self_"):  # those are TensorFlow's own book-keeping
            visit(name.lstrip("_"), value)
    return found


def _child_names(layer: keras.Layer, names_are_kept: bool) -> Iterator[tuple[str, keras.Layer]]:
    """Yields (name, child). A name that Keras counted up gives way, except where the model's config keeps it."""
    if is_graph(layer):
        for child in layer.layers:
            if not isinstance(child, keras.layers.InputLayer):
                counted = not names_are_kept and _is_auto_named(unwrapped(child))
                yield re.sub(r"_\d+$", "", child.name) if counted else child.name, child
        return
    attributes = attribute_paths(layer)
    for child in layer._layers:
        counted = _is_auto_named(unwrapped(child))
        yield attributes.get(id(child), child.name) if counted else child.name, child


def _unique(name: str, taken: Any) -> str:
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}~{n}"
    return candidate


def walk(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """Yields (path, layer) of `layer` (path "") and of each layer below it, once, depth first."""
    yield from _walk(layer, "", set(), True)


def _walk(layer: keras.Layer, path: str, seen: set[int], names_are_kept: bool) -> Iterator[tuple[str, keras.Layer]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield path, layer
    if unwrapped(layer) is not layer:
        yield from _walk(unwrapped(layer), path, seen, names_are_kept)
        return
    taken: set[str] = set()
    for name, child in _child_names(layer, names_are_kept):
        name = _unique(name, taken)
        taken.add(name)
        yield from _walk(child, f"{path}/{name}".lstrip("/"), seen, names_are_kept and is_graph(layer))


def weights_of(layer: keras.Layer) -> dict[str, keras.Variable]:
    """Returns {path: variable} of each weight under `layer`, in model order, once; masks and structures excepted."""
    return {path: variable for path, _, variable in owned_weights(layer)}


def owned_weights(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer, keras.Variable]]:
    """Yields (path, the layer that owns it, variable) of every weight under `layer`, masks and structures excepted.

    A variable that a layer shares with one of the layers it holds (a tied embedding, SpectralNormalization's kernel)
    belongs to the inner one.
    """
    paths: set[str] = set()
    seen: set[int] = set()
    for prefix, owner in walk(layer):
        if unwrapped(owner) is not owner:  # what a PrunableLayer itself owns are masks
            continue
        of_children = {id(variable) for child in owner._layers for variable in child.variables}
        of_children |= {id(variable) for variable in getattr(owner, "structure_variables", ())}
        for variable in owner._trainable_variables + owner._non_trainable_variables:
            if id(variable) not in seen | of_children:
                seen.add(id(variable))
                name = re.sub(r"^variable_\d+$", "variable", variable.name)  # unnamed: Keras counts them up
                path = _unique(f"{prefix}/{name}".lstrip("/"), paths)
                paths.add(path)
                yield path, owner, variable


@dataclasses.dataclass(frozen=True)
class PrunableWeight:
    """A weight that can be pruned.

    Attributes:
        path: its unique path, "block1/conv/kernel".
        variable: the Keras variable.
        owner: the layer that holds the variable.
        input_axis: the axis that is summed over, along which N:M patterns lie.
        output_axis: the axis of the output channels.
    """

    path: str
    variable: keras.Variable
    owner: keras.Layer
    input_axis: int
    output_axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)


def _axes(owner: keras.Layer, rank: int) -> tuple[int, int]:
    """(input axis, output axis) of a kernel: (-2, -1), but for transposed convolutions and Einstein sums."""
    if "Transpose" in type(owner).__name__:
        return rank - 1, rank - 2
    if isinstance(owner, keras.layers.EinsumDense):
        inputs, kernel, output = re.split(",|->", owner.equation.replace("...", "").replace(" ", ""))
        summed = [i for i, axis in enumerate(kernel) if axis in inputs and axis not in output]
        if summed and len(kernel) == rank:
            return summed[-1], max(i for i in range(rank) if i not in summed) if len(summed) < rank else rank - 1
    return rank - 2, rank - 1


def _is_connection(owner: keras.Layer, variable: keras.Variable) -> bool:
    return (
        variable.trainable
        and len(variable.shape) >= 2
        and "float" in variable.dtype
        and "Normalization" not in type(owner).__name__
        and not isinstance(owner, keras.layers.PReLU)  # one slope for each unit
        and not _NEVER_PRUNED.search(variable.name)
    )


def prunable_weights(layer: keras.Layer) -> dict[str, PrunableWeight]:
    """Returns {path: PrunableWeight} of every weight of `layer` that pruning may remove, in model order.

    A trainable float variable of rank 2 or more, but no bias, normalisation or adapter; a layer that offers
    tfmot's `get_prunable_weights()` decides for itself.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")])
        >>> list(prunable_weights(model))
        ['fc/kernel']
    """
    chosen: dict[int, bool] = {}
    for _, owner in walk(layer):
        own_choice = getattr(owner, "get_prunable_weights", None)
        if own_choice is not None and unwrapped(owner) is owner:
            listed = {id(variable) for variable in own_choice()}
            for variable in owner.variables:
                chosen.setdefault(id(variable), id(variable) in listed)
    found = {}
    for path, owner, variable in owned_weights(layer):
        if chosen.get(id(variable), _is_connection(owner, variable)):
            rank = len(variable.shape)
            found[path] = PrunableWeight(path, variable, owner, *_axes(owner, rank))
    return found
