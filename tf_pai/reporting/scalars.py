"""Scalars for TensorBoard, written without TensorBoard: what `tf.summary.scalar` writes needs it installed."""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf


def write_scalar(name: str, value: Any) -> None:
    """Writes one scalar at the default step of the writer in use, as `tf.summary.scalar` does."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    tf.summary.write(name, tf.cast(value, tf.float32), metadata=metadata)


class MetricsTensorBoard(keras.callbacks.Callback):
    """Writes each epoch's metrics to TensorBoard.

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
        """Writes the metrics of the epoch, each under its own name."""
        with self.writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                write_scalar(name, value)
        self.writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the writer."""
        self.writer.close()
