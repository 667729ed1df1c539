"""A data set ready for training: batches that depend on (seed, epoch) and on nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_pai.datasets.splits import Pair, Split
from tf_pai.datasets.standardise import Standardise
from tf_pai.registry import nearest


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Training, validation and test batches of one data set; made by `tf_pai.datasets.load`.

    All batches are pairs (x, y): x float32 of shape (batch_size, *input_shape), y int32 class numbers of shape
    (batch_size,).

    Attributes:
        name: as given to `load`.
        classes: number of classes.
        input_shape: of one example, without the batch: (height, width, channels), or one number when flat.
        batch_size: examples per batch.
        seed: what the order of the epochs and the augmentation are derived from.
        augment: whether training images are augmented, where the set has an augmentation.
        standardise: the last step of the pipeline.
        splits: "train", "test" and, where some of the training split was held out, "validation".

    Example:
        >>> from tf_pai import datasets
        >>> data = datasets.load("digits", batch_size=32)
        >>> data.input_shape, data.classes, data.train_size, data.steps_per_epoch
        ((8, 8, 1), 10, 1437, 44)
        >>> x, y = next(iter(data.train(epoch=0)))
        >>> x.shape, y.dtype
        (TensorShape([32, 8, 8, 1]), tf.int32)
    """

    name: str
    classes: int
    input_shape: tuple[int, ...]
    batch_size: int
    seed: int
    augment: bool
    standardise: Standardise = dataclasses.field(repr=False)
    splits: Mapping[str, Split] = dataclasses.field(repr=False)

    @property
    def train_size(self) -> int:
        """Number of training examples, without those held out for validation."""
        return self.splits["train"].size

    @property
    def validation_size(self) -> int:
        """Number of validation examples."""
        return self.splits["validation"].size if "validation" in self.splits else 0

    @property
    def test_size(self) -> int:
        """Number of test examples."""
        return self.splits["test"].size

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches in an epoch; the last partial batch is dropped."""
        return self.train_size // self.batch_size

    def train(self, epoch: int) -> tf.data.Dataset:
        """Returns the training batches of one epoch.

        Order and augmentation are functions of (seed, epoch): a run that resumes at this epoch sees these batches.

        Args:
            epoch: number of the epoch, from 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        if epoch < 0:
            raise ValueError(f"Epochs are counted from 0. Received: epoch={epoch}.")
        return self._finish(self.splits["train"].shuffled(self.batch_size, self.seed, epoch, self.augment))

    def stream(self, epochs: int, start: int = 0) -> tf.data.Dataset:
        """Returns the batches of `train(start)` ... `train(epochs - 1)`, one after the other, for an ordinary fit.

        Args:
            epochs: number of the epoch after the last, as in `fit`.
            start: number of the first epoch, `fit`'s `initial_epoch`.

        Raises:
            ValueError: not 0 <= start < epochs.

        Example:
            >>> import keras
            >>> from tf_pai import datasets
            >>> data = datasets.load("digits", flat=True)
            >>> model = keras.Sequential([keras.layers.Dense(10)])
            >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            >>> history = model.fit(data.stream(epochs=3, start=1), epochs=3, initial_epoch=1,
            ...                     steps_per_epoch=data.steps_per_epoch, verbose=0)
            >>> history.epoch
            [1, 2]
        """
        if not 0 <= start < epochs:
            raise ValueError(f"A stream of epochs needs 0 <= start < epochs. Received: start={start}, epochs={epochs}.")
        return self._finish(self.splits["train"].epochs(self.batch_size, self.seed, start, epochs, self.augment))

    def validation(self) -> tf.data.Dataset:
        """Returns all validation batches in order, not augmented; the last may be smaller.

        Raises:
            ValueError: nothing was held out for validation.
        """
        return self._finish(self._split("validation").in_order(self.batch_size))

    def test(self) -> tf.data.Dataset:
        """Returns all test batches in order; the last may be smaller."""
        return self._finish(self.splits["test"].in_order(self.batch_size))

    def score_batch(self, per_class: int = 10) -> Pair:
        """Returns the first training examples of each class, class by class, not augmented, as arrays (x, y).

        "First" is the order of appearance: for sets from TFDS the order they are stored in, which is not that of the
        original files.

        Args:
            per_class: examples of each class.

        Raises:
            ValueError: `per_class` is less than 1, or more than a class has.

        >>> from tf_pai import datasets
        >>> x, y = datasets.load("digits").score_batch(per_class=2)
        >>> y[:6]
        array([0, 0, 1, 1, 2, 2], dtype=int32)
        """
        if per_class < 1:
            raise ValueError(f"Scores need one example of each class or more. Received: per_class={per_class}.")
        images, labels = self.splits["train"].first(per_class, self.classes)
        return self.standardise(images).numpy(), labels

    def arrays(self, split: str) -> Pair:
        """Returns all examples of a split that fits into memory, in order and not augmented, as arrays (x, y).

        Args:
            split: "train", "validation" or "test".

        Raises:
            ValueError: there is no such split, or it is too large.
        """
        images, labels = self._split(split).arrays()
        return np.concatenate([self.standardise(images[at : at + 4096]) for at in range(0, len(labels), 4096)]), labels

    def _split(self, name: str) -> Split:
        if name in self.splits:
            return self.splits[name]
        if name == "validation":
            raise ValueError(
                f"{self.name!r} was loaded without validation examples. Load it with validation_fraction=0.1."
            )
        raise ValueError(
            f"A split is one of {', '.join(self.splits)}. Received: {name!r}.{nearest(name, list(self.splits))}"
        )

    def _finish(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(lambda x, y: (self.standardise(x), y)).prefetch(tf.data.AUTOTUNE)
