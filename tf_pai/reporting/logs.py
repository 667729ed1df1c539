"""Logs of a training: metrics as lines of JSON, and the sparsity of each weight for TensorBoard."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import keras
import tensorflow as tf

from tf_pai.files import write_whole
from tf_pai.layers import kept_counts, weight_shapes
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.reporting.document import plain
from tf_pai.reporting.scalars import write_scalar


def read_log(file: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns the whole lines of a log that `JSONLLogger` wrote, [] where there is none yet.

    The last line may be half written, where the process was killed in the middle of it; it is left out.

    Raises:
        ValueError: a line before the last one is no JSON object.
    """
    path = pathlib.Path(file)
    if not path.exists():
        return []
    lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]  # what follows the last newline is not whole
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"A log holds one JSON object per line. Received: line {number} of {str(file)!r}, {line[:60]!r}. "
                "Remove the file, or log to another one."
            ) from error
    return entries


def history_of(entries: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Returns {metric: value after each epoch}, as `Report.history` and `History.history` have it.

    Example:
        >>> history_of([{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}])
        {'loss': [2.0, 1.0]}
    """
    names = dict.fromkeys(name for entry in entries for name in entry if name != "epoch")
    return {name: [entry.get(name) for entry in entries] for name in names}


class JSONLLogger(keras.callbacks.Callback):
    """Appends each epoch's metrics to a file, one line of JSON per epoch.

    A training that goes on in the same file (`fit(initial_epoch=n)`) first drops a half line and the lines of epoch n
    and later, so that every epoch is there once. Values that are not finite become null.

    Args:
        file: the log; its folder exists.

    Example:
        >>> import keras, numpy as np, os, tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> file = os.path.join(tempfile.mkdtemp(), "metrics.jsonl")
        >>> _ = model.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=[JSONLLogger(file)], verbose=0)
        >>> read_log(file)
        [{'epoch': 0, 'loss': 0.0}]
    """

    def __init__(self, file: str | os.PathLike):
        super().__init__()
        self.file = pathlib.Path(file)
        self.ready = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Marks the file as not yet looked at: Keras says only in the first epoch which one that is."""
        self.ready = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Drops, before the first epoch, what this training writes again."""
        if self.ready:
            return
        earlier = [entry for entry in read_log(self.file) if entry["epoch"] < epoch]
        with write_whole(self.file, "w") as stream:
            stream.writelines(_line(entry) for entry in earlier)
        self.ready = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Appends the epoch's line."""
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(_line({"epoch": epoch, **(logs or {})}))


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(plain(entry), allow_nan=False) + "\n"


class SparsityTensorBoard(keras.callbacks.Callback):
    """Writes the sparsity of each weight with a mask, and of all together, to TensorBoard after each epoch.

    Args:
        log_dir: the folder that TensorBoard reads.
    """

    def __init__(self, log_dir: str | os.PathLike):
        super().__init__()
        self.log_dir = os.fspath(log_dir)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Opens the writer."""
        self.writer = tf.summary.create_file_writer(self.log_dir)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes "sparsity" and "sparsity/<path>"."""
        with self.writer.as_default(step=epoch):
            write_scalar("sparsity", sparsity_of(self.model))
            shapes = weight_shapes(self.model)
            for path, (kept, size) in kept_counts(self.model).items():
                if len(shapes[path]) >= 2:
                    write_scalar(f"sparsity/{path}", 1.0 - kept / size)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the writer."""
        self.writer.close()
