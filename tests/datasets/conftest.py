"""Data sets small enough to be made by the tests, and a cache of their own."""

import os

import numpy as np
import pytest

CLASSES = 3


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """One cache folder for all tests of the session; $TF_PAI_CACHE where that is set, to keep it between sessions."""
    kept = os.environ.get("TF_PAI_CACHE")
    with pytest.MonkeyPatch.context() as patch:
        if not kept:
            patch.setenv("TF_PAI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder for one test."""
    monkeypatch.setenv("TF_PAI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    """No network, whatever the machine has."""

    def no_address(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", no_address)
    monkeypatch.setattr("urllib.request.getproxies", dict)


def _write(root, name, image_shape, sizes, splits):
    """Has TFDS prepare a set of random images, in three files a split, class numbers in turn."""
    import tensorflow_datasets as tfds

    from tf_pai.datasets.tfds_prepare import quiet

    rng = np.random.default_rng(0)

    class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = None

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=image_shape, encoding_format="png"),
                "label": tfds.features.ClassLabel(num_classes=CLASSES),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(count) for split, count in splits.items()}

        def _generate_examples(self, count):
            for index in range(count):
                image = rng.integers(0, 256, [*sizes(rng), 3], dtype=np.uint8)
                yield index, {"image": image, "label": index % CLASSES}

    Toy.name = name
    with quiet():
        Toy(data_dir=root).download_and_prepare(
            download_config=tfds.download.DownloadConfig(num_shards=3, try_download_gcs=False)
        )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with sets as TFDS prepares them.

    toy_records: images of many sizes, 60 + 12. toy_arrays: 12x10 pixels, 30 + 6. toy_lonely: train split only.
    """
    root = tmp_path_factory.mktemp("prepared")
    _write(root, "toy_records", (None, None, 3), lambda rng: rng.integers(20, 40, 2), {"train": 60, "validation": 12})
    _write(root, "toy_arrays", (12, 10, 3), lambda rng: (12, 10), {"train": 30, "test": 6})
    _write(root, "toy_lonely", (12, 10, 3), lambda rng: (12, 10), {"train": 3})
    return root
