"""Reading, setting, checking and storing the masks of a model."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tf_pai.layers import (
    DenseMask,
    HeldMask,
    SparseMask,
    SparseMultiHeadAttention,
    held_masks,
    prunable_layers,
    replace_layers,
    sparse_layers,
    weight_shapes,
    wrap_model,
    zero_pruned,
)
from tf_pai.layers.optimizers import parallel_slots
from tf_pai.layers.positions import carried_over
from tf_pai.layers.sparse_attention import projections
from tf_pai.layers.wrapping import refuse_inner_sparse_layers
from tf_pai.registry import nearest

Masks = dict[str, np.ndarray]


def masked_weights(model: keras.Layer) -> dict[str, tuple[keras.Variable, keras.Variable]]:
    """Returns {path: (weight, mask variable)} of every dense weight of `model` that has a mask, in model order."""
    dense = {path: held for path, held in held_masks(model).items() if isinstance(held, DenseMask)}
    return {path: (held.weight, held.mask) for path, held in dense.items()}


def get_masks(model: keras.Model, form: str = "bool") -> Masks:
    """Returns the masks of a model, in model order; True = kept.

    Args:
        model: a pruned model; a plain one has no masks, and gives {}.
        form: "bool" for arrays of the weight's shape; "coo" for the coordinates of the kept weights, an integer array
            of shape [nnz, rank] in the order of the flat index, for layers too big to be dense.

    Raises:
        ValueError: `form` is neither.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> model = tf_pai.prune_at_init(model, "magnitude", 0.75, seed=0)
        >>> int(tf_pai.get_masks(model)["fc/kernel"].sum())
        2
    """
    if form not in ("bool", "coo"):
        raise ValueError(f'Masks come as "bool" or "coo". Received: form={form!r}.{nearest(form, ["bool", "coo"])}')
    held = held_masks(model)
    if form == "bool":
        return {path: mask.as_bool() for path, mask in held.items()}
    return {path: np.stack(np.unravel_index(mask.positions(), mask.shape), axis=-1) for path, mask in held.items()}


def set_masks(model: keras.Model, masks: Masks) -> keras.Model:
    """Sets masks, the pruned weights and their optimizer slots to zero; returns the model.

    Args:
        model: a pruned model (its other masks stay), or a plain one: then the weights named in `masks` get masks, and
            what is returned is a new model unless `model` is subclassed; so too where a sparse layer gets another
            number of weights. Of a sparse layer, weights that stay keep values and slots, others start at zero.
        masks: {path: array of the weight's shape, or coordinates [nnz, rank] of the kept weights}.

    Raises:
        ValueError: a path that the model does not have, a shape that does not fit, a value that is neither 0 nor 1.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="fc")])
        >>> model = tf_pai.set_masks(model, {"fc/kernel": [[1, 0], [0, 1]]})
        >>> tf_pai.sparsity(model)
        0.5
    """
    shapes = weight_shapes(model)
    held = held_masks(model)
    sparse = {path for path, mask in held.items() if isinstance(mask, SparseMask)}
    checked = {path: _checked_mask(path, mask, shapes, path in sparse) for path, mask in masks.items()}
    moved = {path: flat for path, flat in checked.items() if path in sparse}
    for path, flat in moved.items():
        if not flat.size:
            raise ValueError(
                f"A sparse layer keeps one weight at least. Received: none for {path!r}. Empty tf_pai.to_dense(model)."
            )
    if not set(checked) <= set(held):
        model = wrap_model(model, [path for path in checked if path not in moved])
    model = _resized(model, {path: flat for path, flat in moved.items() if flat.size != held[path].kept()})
    held = held_masks(model)
    for path, mask in checked.items():
        _set_mask(model, held[path], mask)
    project_slots(model)
    return model


def _set_mask(model: keras.Model, held: HeldMask, mask: np.ndarray) -> None:
    if isinstance(held, SparseMask):
        old = held.positions()
        for slot in parallel_slots(getattr(model, "optimizer", None), held.weight):
            slot.assign(carried_over(slot.numpy(), old, mask))
        held.layer.set_positions(mask)
    elif isinstance(held, DenseMask):
        held.mask.assign(mask.astype("float32"))
        held.weight.assign(zero_pruned(held.weight.value, held.mask.value))


def _resized(model: keras.Model, moved: dict[str, np.ndarray]) -> keras.Model:
    """The model with sparse layers that have places for other numbers of weights."""
    layers = {path: mask.layer for path, mask in held_masks(model).items() if isinstance(mask, SparseMask)}
    flat_of = {id(layers[path]): flat for path, flat in moved.items()}
    if not flat_of:
        return model
    refuse_inner_sparse_layers(model, set(flat_of))

    def change(layer: Any, copy: Any) -> Any:
        if isinstance(layer, SparseMultiHeadAttention):
            flat = {name: flat_of[id(part)] for name, part in projections(layer).items() if id(part) in flat_of}
            return layer.resized(flat) if flat else copy
        return layer.resized(flat_of[id(layer)]) if id(layer) in flat_of else copy

    return replace_layers(model, change)


def _checked_mask(path: str, mask: Any, shapes: dict[str, tuple[int, ...]], is_sparse: bool) -> np.ndarray:
    """A boolean mask; of a sparse layer, the rising row-major positions of what is kept."""
    if path not in shapes:
        raise ValueError(f"A mask belongs to a weight of the model. Received: {path!r}.{nearest(path, list(shapes))}")
    shape, mask = shapes[path], np.asarray(mask)
    if mask.shape != shape and mask.ndim == 2 and mask.shape[1] == len(shape) and mask.dtype.kind in "iu":
        if mask.size and ((mask < 0).any() or (mask >= np.array(shape)).any()):
            raise ValueError(f"Coordinates lie inside the weight's shape, {shape}. Received: others for {path!r}.")
        flat = np.unique(np.ravel_multi_index(tuple(mask.T), shape))
        return flat if is_sparse else _at_positions(flat, shape)
    if mask.shape != shape:
        raise ValueError(f"A mask has its weight's shape, {shape}. Received: shape {mask.shape} for {path!r}.")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"A mask holds zeros and ones. Received: other values for {path!r}.")
    return np.flatnonzero(mask) if is_sparse else mask.astype(bool)


def _at_positions(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask.flat[flat] = True
    return mask


def project_slots(model: keras.Model) -> None:
    """Sets optimizer slots (moments, averages, accumulators) to zero at pruned places: they may date from before."""
    for weight, mask in masked_weights(model).values():
        for slot in parallel_slots(getattr(model, "optimizer", None), weight):
            slot.assign(zero_pruned(slot.value, mask.value))


def connections(model: keras.Model) -> Masks:
    """Returns the masks of the weights proper, without those of biases and scales that follow a pruned filter."""
    return {path: mask for path, mask in get_masks(model).items() if mask.ndim >= 2}


def sparsity(model: keras.Model) -> float:
    """Returns the fraction of the weights with a mask that is pruned; 0.0 for a plain model.

    Biases and BatchNorm scales that are pruned along with their filter are no connections, and not counted.

    Example:
        >>> import keras, tf_pai
        >>> tf_pai.sparsity(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
        0.0
    """
    masks = [mask for mask in held_masks(model).values() if len(mask.shape) >= 2]
    total = sum(math.prod(mask.shape) for mask in masks)
    return 1.0 - sum(mask.kept() for mask in masks) / total if total else 0.0


def verify(model: keras.Model) -> bool:
    """Proves that every pruned weight is exactly zero; in a sparse layer, that its places are sound.

    Of a model that `select_subnet` made, whose weights are never written, those that its layers compute with are meant.

    Returns:
        True.

    Raises:
        ValueError: some pruned weight is not zero, or a structure is damaged; the message names the first one.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> tf_pai.verify(tf_pai.prune_at_init(model, "random", 0.5, seed=0))
        True
    """
    for layer in sparse_layers(model).values():
        layer.check_structure()
    selecting = [layer for layer in prunable_layers(model).values() if layer.frozen]  # they never write a weight
    computed = {id(weight): value for layer in selecting for weight, value in layer.effective_weights()}
    for path, (weight, mask) in masked_weights(model).items():
        values = np.asarray(computed.get(id(weight), weight))
        alive = np.argwhere((mask.numpy() == 0) & (values != 0))
        if len(alive):
            place = tuple(int(i) for i in alive[0])
            raise ValueError(
                f"Every pruned weight is zero. Received: {path}{list(place)} = {values[place]}, and "
                f"{len(alive) - 1} more in this weight. Something wrote past the optimizer, or trained on "
                "without the callback that keeps pruned weights; "
                "tf_pai.set_masks(model, tf_pai.get_masks(model)) puts the zeros back."
            )
    return True
