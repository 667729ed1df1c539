"""Which layers one forward pass calls, and on which shapes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tf_pai.criteria.data import input_specs
from tf_pai.layers import unwrapped, walk
from tf_pai.layers.paths import is_graph

Shape = tuple[int | None, ...]
# Layers that hold layers, and are looked at as one: what they do with them is known.
SINGLE = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention, keras.layers.RNN)
_OUTERMOST = (*SINGLE, keras.layers.TimeDistributed, keras.layers.Bidirectional)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer without known parts.

    Attributes:
        layer: the layer, unwrapped.
        inputs: shapes of the tensors it takes, in the order of its call's signature; the first axis is the batch.
        outputs: shapes of the tensors it gives.
        times: how often this happens in one forward pass.
    """

    layer: keras.Layer
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    times: int = 1


def layer_calls(model: keras.Model) -> list[Call]:
    """Returns the calls of one forward pass, in the order of the graph.

    A Sequential or functional model is read; nothing runs. In a subclassed one (or a custom layer that holds layers),
    one symbolic call is traced.

    Raises:
        ValueError: a subclassed model that does not know its input's shape.
    """
    if is_graph(model):
        return list(_graph_calls(model, 1))
    specs = keras.tree.map_structure(lambda spec: keras.KerasTensor(spec.shape, spec.dtype), input_specs(model))
    return list(_traced_calls(model, (specs,), {}, 1))


def _graph_calls(graph: keras.Model, times: int) -> Iterator[Call]:
    functional = getattr(graph, "_functional", None) or graph
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            if not node.is_input and isinstance(node.operation, keras.Layer):
                arguments = node.arguments
                yield from _expanded(node.operation, arguments.args, arguments.kwargs, node.outputs, times)


def _expanded(layer: keras.Layer, args: Any, kwargs: Any, outputs: Any, times: int) -> Iterator[Call]:
    """Yields the calls of the known parts of a layer, or the one of the layer."""
    layer = unwrapped(layer)
    if isinstance(layer, keras.layers.TimeDistributed):
        steps = _tensors(args, kwargs)[0].shape[1] or 1
        inside, result = (keras.tree.map_structure(_one_step, value) for value in (args, outputs))
        yield from _expanded(layer.layer, inside[:1], {}, result, times * steps)
    elif isinstance(layer, keras.layers.Bidirectional):
        for direction in (layer.forward_layer, layer.backward_layer):
            yield from _expanded(direction, args, kwargs, outputs, times)
    elif isinstance(layer, SINGLE) or not _holds_layers(layer):
        yield Call(layer, _in_order(layer, args, kwargs), _shapes(outputs), times)
    elif is_graph(layer):
        yield from _graph_calls(layer, times)
    else:
        yield from _traced_calls(layer, args, kwargs, times)


def _traced_calls(layer: keras.Layer, args: Any, kwargs: Any, times: int) -> Iterator[Call]:
    """Yields the calls that one symbolic call of `layer` makes."""
    seen: list[tuple[Any, ...]] = []
    with _recording(layer, seen):
        keras.src.backend.compute_output_spec(layer, *args, **kwargs)
    for inner, inner_args, inner_kwargs, outputs in seen:
        yield from _expanded(inner, inner_args, inner_kwargs, outputs, times)


@contextlib.contextmanager
def _recording(model: keras.Layer, seen: list[tuple[Any, ...]]) -> Iterator[None]:
    """Inside it, each call of a layer of `model` that is not divided further is appended to `seen`."""
    inside: list[keras.Layer] = []  # layers being called that stand for all they call
    patched = [layer for _, layer in walk(model) if _is_recorded(layer)]
    undo = [layer.__dict__.get("call") for layer in patched]
    for layer in patched:
        layer.__dict__["call"] = _recorder(layer, layer.call, seen, inside)
    try:
        yield
    finally:
        for layer, call in zip(patched, undo, strict=True):
            if call is None:
                del layer.__dict__["call"]
            else:
                layer.__dict__["call"] = call


def _recorder(layer: keras.Layer, call: Callable, seen: list[tuple[Any, ...]], inside: list[keras.Layer]) -> Callable:
    @functools.wraps(call)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        inside.append(layer)
        try:
            outputs = call(*args, **kwargs)
        finally:
            inside.pop()
        if not inside:
            symbolic = keras.tree.map_structure(_symbolic, (args, kwargs, outputs))
            seen.append((layer, *symbolic))
        return outputs

    return recorded


def _is_recorded(layer: keras.Layer) -> bool:
    return unwrapped(layer) is layer and (isinstance(layer, _OUTERMOST) or not _holds_layers(layer))


def _holds_layers(layer: keras.Layer) -> bool:
    return any(True for _, inner in walk(layer) if inner is not layer)


def _symbolic(value: Any) -> Any:
    return keras.KerasTensor(value.shape, "float32") if hasattr(value, "shape") else value


def _one_step(tensor: Any) -> Any:
    if not isinstance(tensor, keras.KerasTensor):
        return tensor
    return keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), tensor.dtype)


def _tensors(*values: Any) -> list[Any]:
    return [value for value in keras.tree.flatten(values) if isinstance(value, keras.KerasTensor)]


def _shapes(values: Any) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in _tensors(values))


def _in_order(layer: keras.Layer, args: Any, kwargs: Any) -> tuple[Shape, ...]:
    """The inputs' shapes in the order of the signature: keyword arguments come in any order."""
    bound = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    return tuple(shape for value in bound.values() for shape in _shapes(value))
