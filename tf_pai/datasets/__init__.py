"""Data sets as tf.data pipelines whose batches are a function of (seed, epoch)."""

from tf_pai.datasets import digits, image_folder, synthetic, tfds_sets  # noqa: F401, each registers its data sets
from tf_pai.datasets.dataset import Dataset
from tf_pai.datasets.info import DATASETS, DatasetInfo, list_datasets
from tf_pai.datasets.loading import load

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "list_datasets", "load"]
