"""Reading, setting, checking and storing the masks of a model."""

from __future__ import annotations

import logging
import math
import os
import pathlib
from typing import Any

import keras
import numpy as np

from tf_pai.files import write_whole
from tf_pai.layers import prunable_layers, prunable_weights, weights_of, wrap_model, zero_pruned
from tf_pai.layers.optimizers import optimizers_of
from tf_pai.registry import nearest

Masks = dict[str, np.ndarray]


def masked_weights(model: keras.Layer) -> dict[str, tuple[keras.Variable, keras.Variable]]:
    """Returns {path: (weight, mask variable)} of every weight of `model` that has a mask, in model order."""
    pairs = {id(w): (w, mask) for layer in prunable_layers(model).values() for w, mask in layer.pairs.values()}
    return {path: pairs[id(w)] for path, w in weights_of(model).items() if id(w) in pairs}


def get_masks(model: keras.Model, form: str = "bool") -> Masks:
    """Returns the masks of a model, in model order; True = kept.

    Args:
        model: a pruned model; a plain one has no masks, and gives {}.
        form: "bool" for arrays of the weight's shape; "coo" for the coordinates of the kept weights, an integer array
            of shape [nnz, rank] in the order of the flat index.

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
    masks = {path: mask.numpy() != 0 for path, (_, mask) in masked_weights(model).items()}
    return masks if form == "bool" else {path: np.argwhere(mask) for path, mask in masks.items()}


def set_masks(model: keras.Model, masks: Masks) -> keras.Model:
    """Sets masks, the pruned weights and their optimizer slots to zero; returns the model.

    Args:
        model: a pruned model (its other masks stay), or a plain one: then the weights named in `masks` get masks, and
            what is returned is a new model unless `model` is subclassed.
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
    variables = weights_of(model)
    checked = {path: _checked_mask(path, mask, variables) for path, mask in masks.items()}
    if not set(checked) <= set(masked_weights(model)):
        model = wrap_model(model, checked)
    pairs = masked_weights(model)
    for path, mask in checked.items():
        weight, mask_variable = pairs[path]
        mask_variable.assign(mask.astype("float32"))
        weight.assign(zero_pruned(weight.value, mask_variable.value))
    project_slots(model)
    return model


def _checked_mask(path: str, mask: Any, variables: dict[str, keras.Variable]) -> np.ndarray:
    if path not in variables:
        raise ValueError(
            f"A mask belongs to a weight of the model. Received: {path!r}.{nearest(path, list(variables))}"
        )
    shape, mask = tuple(variables[path].shape), np.asarray(mask)
    if mask.shape != shape and mask.ndim == 2 and mask.shape[1] == len(shape) and mask.dtype.kind in "iu":
        return from_coordinates(path, mask, shape)
    if mask.shape != shape:
        raise ValueError(f"A mask has its weight's shape, {shape}. Received: shape {mask.shape} for {path!r}.")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"A mask holds zeros and ones. Received: other values for {path!r}.")
    return mask.astype(bool)


def from_coordinates(path: str, coordinates: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the boolean mask of `shape` that is True at `coordinates` [nnz, rank].

    Raises:
        ValueError: a coordinate outside `shape`; the message names `path`.
    """
    if coordinates.size and ((coordinates < 0).any() or (coordinates >= np.array(shape)).any()):
        raise ValueError(f"Coordinates lie inside the weight's shape, {shape}. Received: others for {path!r}.")
    mask = np.zeros(shape, bool)
    mask[tuple(coordinates.T)] = True
    return mask


def project_slots(model: keras.Model) -> None:
    """Sets optimizer slots (moments, averages, accumulators) to zero at pruned places: they may date from before."""
    masks = {id(weight): mask for weight, mask in masked_weights(model).values()}
    for optimizer in optimizers_of(getattr(model, "optimizer", None)):
        own = [masks.get(id(weight)) for weight in optimizer._trainable_variables] if optimizer.built else []
        for slots in list(vars(optimizer).values()):
            if isinstance(slots, list) and len(slots) == len(own) and slots is not optimizer._trainable_variables:
                _project(slots, own)


def _project(slots: list[Any], masks: list[keras.Variable | None]) -> None:
    for slot, mask in zip(slots, masks, strict=True):
        if mask is not None and getattr(slot, "shape", None) == mask.shape:
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
    masks = connections(model).values()
    total = sum(mask.size for mask in masks)
    return 1.0 - sum(int(mask.sum()) for mask in masks) / total if total else 0.0


def verify(model: keras.Model) -> bool:
    """Proves that every pruned weight is exactly zero.

    Returns:
        True.

    Raises:
        ValueError: some pruned weight is not zero; the message names the first one.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> tf_pai.verify(tf_pai.prune_at_init(model, "random", 0.5, seed=0))
        True
    """
    for path, (weight, mask) in masked_weights(model).items():
        alive = np.argwhere((mask.numpy() == 0) & (weight.numpy() != 0))
        if len(alive):
            place = tuple(int(i) for i in alive[0])
            raise ValueError(
                f"Every pruned weight is zero. Received: {path}{list(place)} = {weight.numpy()[place]}, and "
                f"{len(alive) - 1} more in this weight. Something wrote past the optimizer; "
                "tf_pai.set_masks(model, tf_pai.get_masks(model)) puts the zeros back."
            )
    return True


def save_masks(model: keras.Model, file: str | os.PathLike) -> None:
    """Writes the masks to an .npz file, one bit per weight; nothing in it is pickled.

    Args:
        model: a pruned model.
        file: the file's name, taken as it is; it is written whole or not at all.

    Raises:
        ValueError: the model has no masks.
    """
    masks = get_masks(model)
    if not masks:
        raise ValueError("Masks are saved from a pruned model. Received: a model without masks. Prune it first.")
    arrays: dict[str, Any] = {"paths": np.array(list(masks))}
    for i, mask in enumerate(masks.values()):
        arrays[f"shape{i}"], arrays[f"bits{i}"] = np.array(mask.shape), np.packbits(mask)
    with write_whole(file) as stream:
        np.savez_compressed(stream, **arrays)


def read_masks(file: str | os.PathLike) -> Masks:
    """Returns the masks in a file that `save_masks` wrote.

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    try:
        with np.load(pathlib.Path(file), allow_pickle=False) as stored:
            return {str(path): _unpacked(stored, i) for i, path in enumerate(stored["paths"])}
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and NumPy fail in a dozen ways
        raise ValueError(
            f"Masks are read from a file that tf_pai.save_masks wrote. Received: {str(file)!r}."
        ) from error


def _unpacked(stored: Any, i: int) -> np.ndarray:
    shape, bits = tuple(int(n) for n in stored[f"shape{i}"]), stored[f"bits{i}"]
    size = math.prod(shape)
    if bits.shape != (-(-size // 8),):
        raise ValueError(f"{size} weights take {-(-size // 8)} bytes. Received: {bits.shape}.")
    return np.unpackbits(bits, count=size).reshape(shape).astype(bool)


def load_masks(model: keras.Model, file: str | os.PathLike) -> keras.Model:
    """Sets the masks that `save_masks` wrote, and returns the model.

    Where names differ only because Keras counted them up in another session, masks are matched by order and shape.

    Args:
        model: a pruned model, or a plain one of the same weights: then the returned model is a new one unless `model`
            is subclassed.
        file: a file that `save_masks` wrote.

    Raises:
        ValueError: the file is no mask file, or does not fit the model.
    """
    masks = read_masks(file)
    known = weights_of(model)
    if set(masks) <= set(known):
        return set_masks(model, masks)
    candidates = list(masked_weights(model)) or list(prunable_weights(model))
    shapes = [tuple(known[path].shape) for path in candidates]
    if shapes != [mask.shape for mask in masks.values()]:
        missing = next(path for path in masks if path not in known)
        raise ValueError(
            f"Masks belong to the weights of the model. Received: a file with {missing!r}, which the model lacks, and "
            "the shapes do not match in order either. Load them into the architecture they were made for."
        )
    logging.getLogger("tf_pai").warning(
        "Layer names in %s differ from the model's; masks were matched by order and shape.", file
    )
    return set_masks(model, dict(zip(candidates, masks.values(), strict=True)))
