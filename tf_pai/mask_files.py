"""Files of masks, one bit per weight."""

from __future__ import annotations

import logging
import math
import os
import pathlib
from typing import Any

import keras
import numpy as np

from tf_pai.files import write_whole
from tf_pai.layers import HeldMask, held_masks, prunable_weights, weight_shapes
from tf_pai.masks import Masks, set_masks


def save_masks(model: keras.Model, file: str | os.PathLike) -> None:
    """Writes the masks to an .npz file, one bit per weight; nothing in it is pickled.

    Args:
        model: a pruned model.
        file: the file's name, taken as it is; it is written whole or not at all.

    Raises:
        ValueError: the model has no masks.
    """
    masks = held_masks(model)
    if not masks:
        raise ValueError("Masks are saved from a pruned model. Received: a model without masks. Prune it first.")
    arrays: dict[str, Any] = {"paths": np.array(list(masks))}
    for i, mask in enumerate(masks.values()):
        arrays[f"shape{i}"], arrays[f"bits{i}"] = np.array(mask.shape), _packed(mask)
    with write_whole(file) as stream:
        np.savez_compressed(stream, **arrays)


def _packed(mask: HeldMask) -> np.ndarray:
    """One bit per weight, as `np.packbits` orders them; a mask of one byte per weight may be too big to exist."""
    bits, flat = np.zeros(-(-math.prod(mask.shape) // 8), np.uint8), mask.positions()
    np.bitwise_or.at(bits, flat >> 3, np.right_shift(128, flat & 7).astype(np.uint8))
    return bits


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
    known = weight_shapes(model)
    if set(masks) <= set(known):
        return set_masks(model, masks)
    candidates = list(held_masks(model)) or list(prunable_weights(model))
    shapes = [known[path] for path in candidates]
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
