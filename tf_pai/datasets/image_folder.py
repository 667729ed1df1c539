"""Tiny-ImageNet from a folder of image files."""

from __future__ import annotations

import pathlib
import tarfile
import tempfile
from typing import Any

from tf_pai.datasets.arrays import ArraySplit
from tf_pai.datasets.cache import cache_folder, fingerprint_content, publish
from tf_pai.datasets.info import register_dataset
from tf_pai.datasets.splits import Source
from tf_pai.datasets.tfds_prepare import existing_folder, quiet
from tf_pai.datasets.tfds_sets import collect

SHAPE = (64, 64, 3)
TEST_SPLITS = ("test", "validation", "val")
LAYOUT = (
    "Put the images into FOLDER/tiny_imagenet/train/CLASS/*.jpg and FOLDER/tiny_imagenet/val/CLASS/*.jpg, or a file "
    "tiny_imagenet.tar of that into FOLDER/, and pass data_dir=FOLDER."
)


@register_dataset(
    "tiny_imagenet", "200 classes of ImageNet or some of them, 64x64x3, from a folder; non-commercial research"
)
def read_tiny_imagenet(name: str, data_dir: str | pathlib.Path | None) -> Source:
    """Reads Tiny-ImageNet, the whole of it or any of its classes, from a folder in TFDS' `ImageFolder` layout.

    Args:
        name: "tiny_imagenet".
        data_dir: holds train/ and one of test/, validation/ and val/, each with a folder of images per class; or a
            folder tiny_imagenet*/ with those; or a file tiny_imagenet*.tar of them, in either place.

    Raises:
        ValueError: there is no such folder or tar, a file is corrupt, or a split is missing.
    """
    if data_dir is None:
        raise ValueError(f"tiny_imagenet is read from a folder. Received: data_dir=None. {LAYOUT}")
    import tensorflow_datasets as tfds

    folder = _find(existing_folder(data_dir))
    with quiet():
        builder = tfds.ImageFolder(str(folder), shape=SHAPE)
        test = next((split for split in TEST_SPLITS if split in builder.info.splits), TEST_SPLITS[0])
        classes = builder.info.features["label"].num_classes
        return Source(_read(builder, "train", folder), _read(builder, test, folder), classes)


def _find(data_dir: pathlib.Path) -> pathlib.Path:
    """Returns the folder that holds train/, unpacking a tar into the cache where there is only that."""
    folders = [data_dir, *sorted(data_dir.glob("tiny_imagenet*"))]
    for folder in folders:
        if (folder / "train").is_dir():
            return folder
    for folder in folders:
        for tar in sorted(folder.glob("tiny_imagenet*.tar")):
            return _unpack(tar)
    raise ValueError(f"data_dir holds no 'tiny_imagenet'. Received: data_dir={str(data_dir)!r}. {LAYOUT}")


def _unpack(tar: pathlib.Path) -> pathlib.Path:
    """Unpacks a tar into a folder of the cache that is named by its contents; returns the folder that holds train/."""
    target = cache_folder() / f"{tar.stem}-{fingerprint_content(tar)}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
            try:
                with tarfile.open(tar) as archive:
                    archive.extractall(pathlib.Path(scratch, "all"), filter="data")
            except (tarfile.TarError, OSError) as error:
                raise ValueError(f"The tar file is corrupt. Received: {str(tar)!r}: {error}. Fetch it anew.") from error
            publish(pathlib.Path(scratch, "all"), target)
    inside = next(target.rglob("train"), None)
    if inside is None:
        raise ValueError(f"The tar file holds no folder train/. Received: {str(tar)!r}. {LAYOUT}")
    return inside.parent


def _read(builder: Any, split: str, folder: pathlib.Path) -> ArraySplit:
    size = builder.info.splits[split].num_examples if split in builder.info.splits else 0
    if not size:
        raise ValueError(
            f"A data set needs images to train on and to test on. Received: {str(folder)!r}, whose {split} split is "
            f"empty; it has {', '.join(builder.info.splits) or 'none'}. {LAYOUT}"
        )
    examples = builder.as_dataset(split=split).map(lambda example: (example["image"], example["label"]))
    return ArraySplit(*collect(examples, size, str(folder)), crops=True)
