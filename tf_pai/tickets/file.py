"""Ticket files: masks, one bit per weight, and initial weights, as a seed where one gives them back."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pathlib
from typing import Any

import keras
import numpy as np

from tf_pai.digests import digest_of
from tf_pai.files import write_whole
from tf_pai.layers import weights_of
from tf_pai.masks import Masks, get_masks, set_masks
from tf_pai.selection.restoring import description_of, restore
from tf_pai.tickets.values import Values, read_values, write_values, zero_where_pruned

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class TicketSize:
    """What a ticket takes, in bytes.

    Attributes:
        masks: the masks' bits.
        weights: the values that no seed gives back.
        file: the file, names and seeds included, compressed.
        dense: all the model's weights, uncompressed.
    """

    masks: int
    weights: int
    file: int
    dense: int

    def __str__(self) -> str:
        return (
            f"{self.file:,} bytes: masks {self.masks:,}, values {self.weights:,} before compression; "
            f"dense weights {self.dense:,}"
        )


def save_ticket(ticket: Any, file: str | os.PathLike) -> TicketSize:
    """Writes initial weights and masks to an .npz file; nothing in it is pickled.

    A weight that its layer's initializer, or `select_subnet`, gives back bit for bit from a seed is stored as that
    seed; of others the kept values are. Whether the seed gives it back is tried before anything is written.

    Args:
        ticket: a lottery ticket: any object with `model`, `masks` and, where `model` no longer holds them,
            `initial_weights`, {path: array}. Or a model with masks: its present weights are taken. Of a model that
            `select_subnet` made, all weights are, and the scores are left out.
        file: the file's name, taken as it is; it is written whole or not at all.

    Returns:
        The bytes it takes.

    Raises:
        TypeError: neither a ticket nor a Keras 3 model.
        ValueError: there are no masks.

    Example:
        >>> import os, tempfile, tf_pai
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
        >>> selected = tf_pai.select_subnet(model, "hidden", 0.5, seed=0)
        >>> size = tf_pai.save_ticket(selected, name := os.path.join(tempfile.mkdtemp(), "ticket.npz"))
        >>> size.masks, size.weights, size.dense  # the weights are a seed
        (296, 0, 9640)
        >>> same = tf_pai.load_ticket(model, name)
        >>> x = np.ones((1, 64), "float32")
        >>> bool(np.array_equal(same(x), selected(x)))
        True
    """
    model, masks, initial = _parts(ticket)
    selection = description_of(model)
    weights = Values(model, initial, {} if selection else masks, selection)
    arrays: dict[str, np.ndarray] = {f"bits{i}": np.packbits(mask) for i, mask in enumerate(masks.values())}
    bits = sum(array.nbytes for array in arrays.values())
    header = {
        "format": FORMAT,
        "masks": {path: mask.shape for path, mask in masks.items()},
        "weights": write_values(weights, arrays),
        "selection": selection,
    }
    given_back = {path: zero_where_pruned(np.asarray(v), weights.masks.get(path)) for path, v in initial.items()}
    header["sha256"] = _digest(header, given_back, masks)
    with write_whole(file) as stream:
        np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
    dense = sum(int(np.prod(variable.shape)) * 4 for variable in weights_of(model).values())
    values = sum(array.nbytes for array in arrays.values()) - bits
    return TicketSize(bits, values, pathlib.Path(file).stat().st_size, dense)


def _parts(ticket: Any) -> tuple[keras.Model, Masks, dict[str, np.ndarray]]:
    """The ticket's model, masks and initial weights."""
    model = ticket if isinstance(ticket, keras.Model) else getattr(ticket, "model", None)
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"A ticket, or a Keras 3 model with masks, is saved. Received: {type(ticket).__name__}. "
            "Pass what find_ticket or select_subnet returned."
        )
    masks = get_masks(model)
    initial = {path: variable.numpy() for path, variable in weights_of(model).items()}
    if model is not ticket:
        masks = {**masks, **{path: np.asarray(mask, bool) for path, mask in ticket.masks.items()}}
        initial |= getattr(ticket, "initial_weights", None) or {}
    if not masks:
        raise ValueError(f"A ticket has masks. Received: {model.name!r} without any. Prune it first.")
    return model, masks, initial


def load_ticket(model: keras.Model, file: str | os.PathLike) -> keras.Model:
    """Returns the network that `save_ticket` wrote, bit for bit: initial weights, and masks.

    Where names differ only because Keras counted them up in another session, weights are matched by order and shape.

    Args:
        model: a model of the ticket's architecture, without masks; its own weights do not matter. Sequential and
            functional models are rebuilt, and the original is untouched; a subclassed model is changed in place.
        file: a file that `save_ticket` wrote.

    Returns:
        A pruned model, ready to be trained; of a selected network, one whose scores are trained, as `select_subnet`
        makes it. Scores are not stored: these mean the same masks, and no longer how sure each place was.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no ticket or is damaged, its seeds do not give the weights back that were saved, or
            `model` is not of its architecture, or has masks.
    """
    header, values, masks = _read(file)
    names = _matched(model, {path: tuple(entry["shape"]) for path, entry in header["weights"].items()}, file)
    values, masks = ({names[path]: value for path, value in found.items()} for found in (values, masks))
    if header["selection"]:
        return restore(model, _renamed(header["selection"], names), values, masks)
    loaded = set_masks(model, masks)
    for path, variable in weights_of(loaded).items():
        variable.assign(values[path])
    return loaded


def _renamed(selection: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The description of a selection with the model's paths in place of the file's."""
    by_path = ("keep", "shared", "fan_in")
    return {**selection, **{key: {names[path]: n for path, n in selection[key].items()} for key in by_path}}


def _read(file: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray], Masks]:
    """The file's header, and {path: value} and {path: mask} that are what was saved, bit for bit."""
    try:
        with np.load(pathlib.Path(file), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(str(arrays.pop("header")))
        if header["format"] != FORMAT:
            raise ValueError(f"Format {FORMAT} is known. Received: {header['format']!r}.")
        wanted, selection = header.pop("sha256"), header["selection"]
        masks = {path: _unpacked(arrays[f"bits{i}"], s) for i, (path, s) in enumerate(header["masks"].items())}
        values = read_values(header["weights"], arrays, {} if selection else masks, selection)
        found = _digest(header, values, masks)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and NumPy fail in a dozen ways
        raise ValueError(
            f"A ticket is read from a file that tf_pai.save_ticket wrote. Received: {str(file)!r}."
        ) from error
    if found != wanted:
        raise ValueError(
            f"A ticket gives back what was saved, bit for bit. Received: {str(file)!r}, which does not: it is changed, "
            "or its seeds give other weights with the versions of Keras, TensorFlow and NumPy that are installed. Save "
            "it again, where it was saved."
        )
    return header, values, masks


def _digest(header: dict[str, Any], values: dict[str, np.ndarray], masks: Masks) -> str:
    """The digest of all that a ticket is, weights that are stored as seeds included."""
    said = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return digest_of([said, *(values[path] for path in header["weights"]), *masks.values()])


def _unpacked(bits: np.ndarray, shape: Any) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64))
    if bits.shape != (-(-size // 8),):
        raise ValueError(f"{size} weights take {-(-size // 8)} bytes. Received: {bits.shape}.")
    return np.unpackbits(bits, count=size).reshape(shape).astype(bool)


def _matched(model: keras.Model, shapes: dict[str, tuple[int, ...]], file: str | os.PathLike) -> dict[str, str]:
    """{path in the file: path in the model}."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"A ticket is loaded into a Keras 3 model. Received: {type(model).__name__}.")
    if get_masks(model):
        raise ValueError("A ticket is loaded into a model without masks. Received: a pruned one. tf_pai.strip it.")
    known = {path: tuple(variable.shape) for path, variable in weights_of(model).items()}
    if known == shapes:
        return {path: path for path in known}
    if list(known.values()) != list(shapes.values()):
        odd = next((p for p in shapes if known.get(p) != shapes[p]), next(iter(known.keys() - shapes.keys()), ""))
        raise ValueError(
            f"A ticket is loaded into the architecture it was found in. Received: {model.name!r}, in which "
            f"{odd!r} has the shape {known.get(odd)}; in {str(file)!r} it has {shapes.get(odd)}."
        )
    logging.getLogger("tf_pai").warning(
        "Layer names in %s differ from the model's; weights were matched by order and shape.", file
    )
    return dict(zip(shapes, known, strict=True))
