"""Masked model <-> model whose layers hold and compute with their kept weights only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from tf_pai import kernels
from tf_pai.compute.qualifying import fused_form, sparse_form, why_not
from tf_pai.compute.timing import step_ratio
from tf_pai.layers import (
    FusedBatchNormalization,
    PrunableLayer,
    SparseKernel,
    SparseMultiHeadAttention,
    held_masks,
    is_selected,
    prunable_layers,
    replace_layers,
    sparse_layers,
    weights_of,
)
from tf_pai.layers.paths import is_graph
from tf_pai.layers.wrapping import refuse_inner_sparse_layers, shares_weights
from tf_pai.masks import set_masks
from tf_pai.records import record_of, remember, remember_compute
from tf_pai.registry import nearest

COMPUTE = ("masked", "sparse", "auto")


def check_compute(compute: Any) -> None:
    """Raises ValueError where `compute` is none of "masked", "sparse" and "auto"."""
    if compute not in COMPUTE:
        raise ValueError(
            f"compute is one of {', '.join(map(repr, COMPUTE))}. Received: compute={compute!r}."
            f"{nearest(str(compute), list(COMPUTE))}"
        )


def to_sparse(model: keras.Model, compute: str = "sparse") -> keras.Model:
    """Returns the model with layers that hold, train and compute with their kept weights only.

    Dense, Conv2D, EinsumDense and MultiHeadAttention layers whose kernels have masks are converted: a kernel becomes a
    vector of the kept values, and so do its optimizer slots. Layers that the native kernels do not compute (groups,
    dilation, channels first, a constraint or initializer that needs the whole matrix, a mask on the bias) stay as
    they are. Beside sparse layers, BatchNormalization is trained by a fused op: Keras' own takes longer than a sparse
    convolution.
    Optimizers whose rule reads rows and columns of a weight (Muon, Adafactor) are refused by name when a training step
    of a model begins; a loop outside of any model is not checked. Without a C++ compiler nothing is converted, with one
    warning.

    Args:
        model: a pruned model. A Sequential or functional one is rebuilt, and left untouched; in a subclassed one,
            layers are replaced in place, and it is returned itself.
        compute: "sparse" for all layers that can; "auto" for those whose training step is measured to be faster so
            than dense, on this machine, once for each shape of layer. `tf_pai.report` says which, and by how much.

    Returns:
        A model of the same outputs, compiled if `model` was, its optimizer where it was.

    Raises:
        ValueError: the model has no masks, or those of `select_subnet`, or `compute` is none of the two.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc")])
        >>> sparse = tf_pai.to_sparse(tf_pai.prune_at_init(model, "magnitude", 0.75))
        >>> tf_pai.sparsity(sparse), tf_pai.get_masks(sparse)["fc/kernel"].shape
        (0.75, (8, 4))
    """
    check_compute(compute)
    if compute == "masked":
        raise ValueError('to_sparse takes compute="sparse" or "auto". Received: compute=\'masked\'. See to_dense.')
    if not prunable_layers(model) and not sparse_layers(model):
        raise ValueError(
            f"to_sparse takes a pruned model. Received: {model.name!r} without masks. Call tf_pai.prune_at_init first, "
            "or build it of tf_pai.layers.SparseDense."
        )
    if is_selected(model):
        raise ValueError(
            f"to_sparse takes layers that train their weights. Received: {model.name!r}, whose weights select_subnet "
            "froze. Call tf_pai.to_sparse(tf_pai.set_masks(tf_pai.strip(model), tf_pai.get_masks(model)))."
        )
    if kernels.available() and not is_graph(model):
        shared = {id(layer) for layer in model._layers if shares_weights(layer, model)}
        model = _converted(model, lambda layer: None if id(layer) in shared else _unfolded(layer))
    choices = {id(layer): Choice.of(layer, compute) for layer in prunable_layers(model).values()}
    rows = [choices[id(layer)].row(path) for path, layer in prunable_layers(model).items()]

    def form(layer: Any) -> keras.Layer | None:
        choice = choices.get(id(layer))
        if choice is None:
            return fused_form(layer)
        return sparse_form(layer) if choice.is_sparse else None

    some_are_sparse = bool(sparse_layers(model)) or any(choice.is_sparse for choice in choices.values())
    converted = _converted(model, form) if some_are_sparse else model
    remember_compute(converted, rows)
    return converted


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a layer with masks computes.

    Attributes:
        is_sparse: whether with its kept weights only.
        ratio: the time of its sparse training step divided by that of its dense one, or None where it was not timed.
        why: why it stays dense, or None.
    """

    is_sparse: bool
    ratio: float | None = None
    why: str | None = None

    @classmethod
    def of(cls, layer: PrunableLayer, compute: str) -> Choice:
        """Returns the choice for a layer: sparse where it can be, and with "auto" where that is faster."""
        why = why_not(layer) if kernels.available() else "there are no native kernels here"
        if why is not None or compute == "sparse":
            return cls(why is None, None, why)
        ratio = step_ratio(layer)
        return cls(ratio < 1, ratio, None if ratio < 1 else "dense is faster")

    def row(self, path: str) -> dict[str, Any]:
        """Returns the row of the report's table."""
        form = "sparse" if self.is_sparse else "masked"
        return {"layer": path, "compute": form, "step / dense": self.ratio, "why": self.why}


def to_dense(model: keras.Model) -> keras.Model:
    """Returns the model with masked dense layers in place of sparse ones: what `to_sparse` was called on.

    Args:
        model: a model with sparse layers. A Sequential or functional one is rebuilt, and left untouched; in a
            subclassed one, layers are replaced in place, and it is returned itself.

    Raises:
        ValueError: a layer that is none of the model's own, but held by one of them, is sparse.

    Example:
        >>> import keras, tf_pai
        >>> layer = tf_pai.layers.SparseDense(4, density=0.25, name="fc")
        >>> model = tf_pai.to_dense(keras.Sequential([keras.Input((8,)), layer]))
        >>> model.get_layer("fc").kernel.shape, tf_pai.sparsity(model)
        (TensorShape([8, 4]), 0.75)
    """
    refuse_inner_sparse_layers(model)
    return _converted(model, _masked_form)


def _unfolded(layer: Any) -> keras.Model | None:
    """A graph with masks on its layers, of one in a subclassed model that has all its masks around it."""
    if type(layer) is not PrunableLayer or not is_graph(layer.layer) or not layer.mask_gradients:
        return None
    graph = set_masks(layer.layer, {path: held.as_bool() for path, held in held_masks(layer).items()})
    for inner in prunable_layers(graph).values():
        inner.mask_structure = layer.mask_structure
    return graph


def _masked_form(layer: Any) -> keras.Layer | None:
    if isinstance(layer, FusedBatchNormalization):
        return layer.to_dense()
    if not isinstance(layer, (SparseKernel, SparseMultiHeadAttention)):
        return None
    masks = {path: held.as_bool() for path, held in held_masks(layer).items()}
    dense = layer.to_dense()
    pruned = tuple(i for i, path in enumerate(weights_of(dense)) if path in masks)
    masked = PrunableLayer(dense, pruned, mask_structure=layer.mask_structure)
    masked.set_masks(masks)
    return masked


def _converted(model: keras.Model, form: Callable[[Any], keras.Layer | None]) -> keras.Model:
    """The model with `form(layer)` in place of each layer for which that is one."""

    def change(layer: Any, copy: Any) -> Any:
        new = form(layer)
        return copy if new is None else new

    converted = replace_layers(model, change)
    record = record_of(model)
    if record is not None:
        remember(converted, record)
    return converted
