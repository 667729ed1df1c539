import pytest

from tf_pai.datasets import DATASETS, list_datasets
from tf_pai.datasets.info import find_dataset


def test_all_names_are_listed_with_a_summary():
    names = (
        "cifar10 cifar100 digits fashion_mnist imagenet2012 imagenette mnist synthetic:HxWxC:classes tfds:NAME "
        "tiny_imagenet"
    )
    assert [info.name for info in list_datasets()] == names.split() == DATASETS.names()
    assert all(info.summary for info in list_datasets())


def test_published_statistics_have_one_number_per_channel():
    for info in list_datasets():
        assert len(info.mean) == len(info.deviation) and len(info.mean) in (0, 3)
        assert all(0 < value < 1 for value in (*info.mean, *info.deviation))


@pytest.mark.parametrize(
    ("name", "entry", "argument"),
    [
        ("mnist", "mnist", "mnist"),
        ("tfds:imagenette/160px-v2", "tfds:NAME", "imagenette/160px-v2"),
        ("synthetic:8x8x3:10", "synthetic:HxWxC:classes", "8x8x3:10"),
    ],
)
def test_a_name_finds_its_entry(name, entry, argument):
    info, found = find_dataset(name)
    assert (info.name, found) == (entry, argument)


@pytest.mark.parametrize(
    ("name", "near"), [("fashion-mnist", "fashion_mnist"), ("cifar", "cifar10"), ("tdfs:x", "tfds")]
)
def test_a_misspelt_name_finds_the_nearest(name, near):
    with pytest.raises(ValueError, match=rf"Unknown dataset\. Received: '{name}'\. Did you mean '{near}"):
        find_dataset(name)


@pytest.mark.parametrize("name", ["tfds:", "digits:3", ":"])
def test_a_family_needs_a_member(name):
    with pytest.raises(ValueError, match="Unknown dataset"):
        find_dataset(name)
