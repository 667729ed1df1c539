"""SupSup: one fixed network, and a supermask per task; a task that is not named is inferred from its inputs.

what: single weights or any structure; how many: a fraction k of each layer; which: score; weights: frozen, shared.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.losses import output_activation
from tf_pai.digests import digest_of
from tf_pai.layers import PrunableWeight, ReadAs, prunable_layers, weights_of
from tf_pai.layers.optimizers import optimizers_of, start_anew
from tf_pai.layers.prunable import PACKAGE
from tf_pai.layers.statistics import moving_statistics
from tf_pai.masks import masked_weights
from tf_pai.registry import nearest, register_method
from tf_pai.selection.layer import ScoredLayer
from tf_pai.selection.rule import Rule, fan_in, straight_through
from tf_pai.selection.task_file import read_tasks, write_tasks

TINY = 1e-12  # keeps log(p) finite
TOGETHER = 16  # tasks whose bits are unpacked at once


@register_method(
    "supsup",
    survey_name="SupSup",
    year=2020,
    reference="Wortsman et al., NeurIPS 2020",
    track="selection",
    table_row="",
)
@keras.saving.register_keras_serializable(PACKAGE)
class SupSup(Rule):
    """The supermask of one task: the k highest scores of a layer; dL/ds = dL/dw_eff * w. `Supermasks` keeps many.

    Unlike edge-popup's, scores are compared with their signs, and weights are not scaled by 1/sqrt(k): a task's
    gradient could then not be told from that of others.

    Args:
        regularizer: see `Rule`.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> tf_pai.sparsity(tf_pai.select_subnet(model, "supsup", 0.5, seed=0))
        0.5

    Reference: Wortsman et al. 2020, "Supermasks in superposition", section 3.1; the authors' code for inferred tasks.
    Differs from the paper in: exactly round(k * n) scores are kept; the code keeps those that are not negative, which
    is about half of them.
    """

    magnitudes = False

    def scores_of(self, mask: np.ndarray, weight: PrunableWeight, scores: np.ndarray) -> np.ndarray:
        """Returns scores that mean `mask`: above 0 where it keeps."""
        size = np.abs(scores) + 1 / math.sqrt(fan_in(weight))
        return np.where(mask, size, -size).astype("float32")

    def effective(self, w: tf.Tensor, scores: tf.Tensor, mask: tf.Tensor, seed: Any = None) -> tf.Tensor:
        """Returns w * mask."""
        return straight_through(w * tf.cast(mask, w.dtype), w, scores, mask, self.magnitudes)


class Supermasks:
    """The masks of many tasks on one network, one bit per weight and task; weights and scores are not kept.

    Moving statistics, as BatchNormalization has, are measured on a task, and kept with it. To infer a task, those of
    the batch are taken.

    Args:
        model: what `select_subnet` returned.

    Raises:
        ValueError: the model has no scores.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> tasks = tf_pai.selection.Supermasks(tf_pai.select_subnet(model, "supsup", seed=0))
        >>> tasks.store("first")  # after model.fit on the first task
        >>> tasks.begin(seed=1)
        >>> tasks.store("second")
        >>> tasks.names, tasks.bytes_per_task
        (['first', 'second'], 4)

    Reference: Wortsman et al. 2020, "Supermasks in superposition", sections 3.1-3.3.
    Differs from the paper in: inference looks at the entropy of the outputs only, not at superfluous neurons;
    normalization takes the statistics of the batch that the task is inferred from.
    """

    def __init__(self, model: keras.Model):
        self._layers = [layer for layer in prunable_layers(model).values() if isinstance(layer, ScoredLayer)]
        if not self._layers:
            raise ValueError(
                f"Supermasks belong to a network with scores. Received: {model.name!r}, which has none. "
                'Make it with tf_pai.select_subnet(model, "supsup").'
            )
        self._model = model
        self._masks = [mask for _, mask in masked_weights(model).values()]
        self._measured = [v for v in moving_statistics(model) if "float" in v.dtype]
        self._unmeasured = [v.numpy() for v in self._measured]
        self._statistics_of_batch = bool(self._measured) and not any(layer.rule.draws for layer in self._layers)
        self._sizes = [int(np.prod(mask.shape)) for mask in self._masks]
        self._bits: dict[str, np.ndarray] = {}
        self._statistics: dict[str, np.ndarray] = {}

    @property
    def names(self) -> list[str]:
        """The tasks stored, in the order of storing."""
        return list(self._bits)

    @property
    def bytes_per_task(self) -> int:
        """What one more task takes."""
        return (sum(self._sizes) + 7) // 8 + sum(4 * value.size for value in self._unmeasured)

    def begin(self, seed: int) -> None:
        """Draws new scores, for a task to come; a compiled model gets its optimizer's state as at the start.

        Learning rate and loss scale stay what they are.

        Args:
            seed: of the scores.
        """
        for i, layer in enumerate(self._layers):
            layer.draw_scores((seed + 7919 * i) % 2**31)
        for variable, value in zip(self._measured, self._unmeasured, strict=True):
            variable.assign(value)
        for leaf in optimizers_of(getattr(self._model, "optimizer", None)):
            start_anew(leaf)

    def store(self, name: str) -> None:
        """Keeps the model's masks as those of the task `name`."""
        self._bits[str(name)] = np.packbits(np.concatenate([mask.numpy().ravel() != 0 for mask in self._masks]))
        values = [v.numpy().astype("float32").ravel() for v in self._measured]
        self._statistics[str(name)] = np.concatenate([np.zeros(0, "float32"), *values])

    def use(self, name: str) -> None:
        """Puts the masks of a task in the model.

        Raises:
            ValueError: no task of that name is stored.
        """
        if str(name) not in self._bits:
            raise ValueError(
                f"A task is stored before it is used. Received: {name!r}.{nearest(str(name), self.names)} "
                f"Stored: {', '.join(self.names) or 'none'}."
            )
        for variable, value in self._superposed([str(name)]):
            variable.assign(value)

    def infer(self, x: Any, search: str = "one_shot") -> str:
        """Returns the task that the inputs most likely belong to; the masks in the model stay.

        All T masks are superposed, sum(a_i * m_i) with a_i = 1/T. The task is the one whose weight a_i, raised, lowers
        the entropy H of the outputs most: argmax(-dH/da).

        Args:
            x: inputs of one task; the more tasks are stored, the more inputs it takes.
            search: "one_shot": one gradient decides; "binary": each gradient leaves the better half of the tasks.

        Raises:
            ValueError: no task is stored, there is no input, or `search` is neither.
        """
        if search not in ("one_shot", "binary"):
            raise ValueError(
                f'A search is "one_shot" or "binary". Received: search={search!r}.'
                f"{nearest(str(search), ['one_shot', 'binary'])}"
            )
        if not self._bits:
            raise ValueError("A task is inferred among stored ones. Received: none stored. Call store(name) first.")
        if len(x) == 0:
            raise ValueError("A task is inferred from one input or more. Received: none.")
        names = self.names
        while len(names) > 1:
            gain = self._gains(x, names)
            best = np.argsort(-gain, kind="stable")
            names = [names[i] for i in best[: 1 if search == "one_shot" else (len(names) + 1) // 2]]
        return names[0]

    def _gains(self, x: Any, names: list[str]) -> np.ndarray:
        """-dH/da_i of each task; one backward pass, then one scalar product per task."""
        superposed = [(variable, tf.convert_to_tensor(value)) for variable, value in self._superposed(names)]
        masks = [value for _, value in superposed[: len(self._masks)]]
        with tf.GradientTape() as tape:
            tape.watch(masks)
            with ReadAs(superposed, write_through=False):
                entropy = _entropy(self._model, x, self._statistics_of_batch)
        gradient = np.concatenate([g.numpy().ravel() for g in tape.gradient(entropy, masks)])
        return np.concatenate([-(bits.astype("float32") @ gradient) for bits in self._in_parts(names)])

    def _superposed(self, names: list[str]) -> list[tuple[keras.Variable, np.ndarray]]:
        """Pairs (mask or statistic, its mean over tasks)."""
        total = sum(bits.sum(0, dtype="float32") for bits in self._in_parts(names))
        statistics = sum(self._statistics[name] for name in names)
        variables = [*self._masks, *self._measured]
        flat = np.concatenate([total, statistics]) / np.float32(len(names))
        ends = np.cumsum([int(np.prod(variable.shape)) for variable in variables])
        parts = np.split(flat, ends[:-1])
        return [(variable, part.reshape(variable.shape)) for variable, part in zip(variables, parts, strict=True)]

    def _in_parts(self, names: list[str]) -> Iterator[np.ndarray]:
        """Yields the bits of a few tasks at a time, [tasks, weights]: thousands of tasks are never unpacked at once."""
        for begin in range(0, len(names), TOGETHER):
            packed = np.stack([self._bits[name] for name in names[begin : begin + TOGETHER]])
            yield np.unpackbits(packed, axis=1, count=sum(self._sizes))

    def save(self, file: str | os.PathLike) -> None:
        """Writes all tasks' masks to an .npz file, whole or not at all; nothing in it is pickled."""
        write_tasks(file, self._bits, self._statistics, self._network())

    def load(self, file: str | os.PathLike) -> None:
        """Reads tasks that `save` wrote, beside those that are stored.

        Raises:
            OSError: the file cannot be opened.
            ValueError: the file is no such file, or belongs to another network.
        """
        widths = (sum(self._sizes) + 7) // 8, sum(value.size for value in self._unmeasured)
        bits, statistics = read_tasks(file, self._network(), widths)
        self._bits |= bits
        self._statistics |= statistics

    def _network(self) -> str:
        """The digest of what is the same for all tasks."""
        of_tasks = {id(variable) for variable in self._measured}
        weights = [v for v in weights_of(self._model).values() if id(v) not in of_tasks and "float" in v.dtype]
        return digest_of(v.numpy() for v in weights)


def _entropy(model: keras.Model, x: Any, training: bool) -> tf.Tensor:
    """Mean entropy of the outputs' distribution over classes."""
    outputs = tf.cast(model(x, training=training), tf.float32)
    p = outputs if output_activation(model) == "softmax" else tf.nn.softmax(outputs)
    return -tf.reduce_mean(tf.reduce_sum(p * tf.math.log(p + TINY), -1))
