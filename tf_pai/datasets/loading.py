"""`load`: from a name to a `Dataset`."""

from __future__ import annotations

import math
import numbers
import pathlib

from tf_pai.datasets.dataset import Dataset
from tf_pai.datasets.info import DatasetInfo, find_dataset
from tf_pai.datasets.splits import Split
from tf_pai.datasets.standardise import Standardise


def load(
    name: str,
    *,
    data_dir: str | pathlib.Path | None = None,
    batch_size: int = 128,
    augment: bool = True,
    seed: int = 0,
    flat: bool = False,
    validation_fraction: float = 0.0,
) -> Dataset:
    """Loads a data set of images and classes.

    Pixels are divided by 255 and standardised by mean and deviation of each channel of the official training split
    (one mean and one deviation for grey images): published constants for CIFAR and ImageNet, else measured on the
    first images (2^26 pixel values; 1,000 images where sizes differ). The same whatever is held out for validation.

    Training images are augmented as usual: colour images of one size by a crop after padding with 4 pixels, and
    mirroring; images of many sizes by a random crop resized to 224x224, and mirroring; grey ones not at all. Sets in
    which mirroring changes the class (`tfds:svhn_cropped`) want `augment=False`.

    Args:
        name: one of `list_datasets()`: "digits" is embedded, "tfds:NAME" is any other set of TFDS.
        data_dir: folder with the set as TFDS prepares it, or with its official files in `<name>/`, which TFDS then
            prepares into ~/.cache/tf_pai/datasets (`TF_PAI_CACHE` names another folder). It is only read. None: TFDS'
            own folder, downloading what is missing.
        batch_size: examples per batch.
        augment: whether to augment training images.
        seed: order and augmentation of epoch e are a function of (seed, e).
        flat: whether each image becomes a vector, for networks of dense layers.
        validation_fraction: part of the training split to hold out, in [0, 1): the same examples whatever the seed,
            evenly spaced in each class where the set fits into memory, else the last.

    Raises:
        TypeError: `name`, `batch_size`, `seed` or `validation_fraction` is of another type.
        ValueError: another argument is wrong, or the data are missing, corrupt, or too few for one batch.

    Example:
        >>> data = load("digits", flat=True, validation_fraction=0.1)
        >>> data.input_shape, data.train_size, data.validation_size, data.test_size
        ((64,), 1293, 144, 360)
    """
    _check_arguments(name, batch_size, seed, validation_fraction)
    info, argument = find_dataset(name)
    source = info.read(argument, data_dir)
    splits: dict[str, Split] = {"train": source.train, "test": source.test}
    if validation_fraction:
        splits["train"], splits["validation"] = source.train.hold_out(validation_fraction)
    _check_sizes(name, splits, batch_size)
    shape = source.train.image_shape
    return Dataset(
        name=name,
        classes=source.classes,
        input_shape=(math.prod(shape),) if flat else tuple(shape),
        batch_size=batch_size,
        seed=seed,
        augment=augment,
        standardise=_standardise(info, source.train, flat),
        splits=splits,
    )


def _check_arguments(name: str, batch_size: int, seed: int, validation_fraction: float) -> None:
    kinds = {"name": str, "batch_size": numbers.Integral, "seed": numbers.Integral, "validation_fraction": numbers.Real}
    for key, value in {
        "name": name,
        "batch_size": batch_size,
        "seed": seed,
        "validation_fraction": validation_fraction,
    }.items():
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise TypeError(f"{key} is a {kinds[key].__name__}. Received: {key}={value!r}.")
    if batch_size < 1:
        raise ValueError(f"A batch has at least one example. Received: batch_size={batch_size}.")
    if not 0 <= validation_fraction < 1:
        raise ValueError(f"validation_fraction is in [0, 1). Received: validation_fraction={validation_fraction}.")


def _check_sizes(name: str, splits: dict[str, Split], batch_size: int) -> None:
    for split, examples in splits.items():
        if not examples.size:
            raise ValueError(f"The {split} split of {name!r} is empty. Change validation_fraction.")
    if splits["train"].size < batch_size:
        raise ValueError(
            f"An epoch has at least one full batch. Received: batch_size={batch_size}, but {name!r} has "
            f"{splits['train'].size} training examples. Use smaller batches."
        )


def _standardise(info: DatasetInfo, train: Split, flat: bool) -> Standardise:
    if info.mean:
        mean, deviation = ([255.0 * value for value in values] for values in (info.mean, info.deviation))
    else:
        mean, deviation = (values.tolist() for values in train.statistics())
    return Standardise(tuple(mean), tuple(deviation), flat)
