"""A training's progress: one bar in a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LATEST = ("accuracy", "val_accuracy", "loss")


class TrainingProgress(keras.callbacks.Callback):
    """Shows epochs, steps, time left and the latest accuracy; fits 80 columns.

    Args:
        title: what is trained.
    """

    async_safe = True  # it reads no tensor of a step, so Keras need not wait for it

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self.console = Console()
        self.bar: Progress | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the bar."""
        self.began = time.perf_counter()
        if self.console.is_terminal:
            columns: list[Any] = [
                "{task.description}",
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            ]
            self.bar = Progress(*columns, TextColumn("{task.fields[latest]}"), console=self.console, expand=True)
            self.bar.start()
            steps = self.params.get("steps")
            self.task = self.bar.add_task(self.title, total=steps and steps * self.params["epochs"], latest="")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Says which epoch it is."""
        self.epoch = epoch
        if self.bar is not None:
            self.bar.update(self.task, description=f"{self.title} {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=self.epoch * (self.params["steps"] or 0) + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Shows the epoch's accuracy."""
        shown = [f"{name} {float(logs[name]):.4f}" for name in LATEST if name in (logs or {})]
        if self.bar is not None:
            name = next((name for name in ("val_accuracy", "accuracy", "loss") if name in (logs or {})), None)
            self.bar.update(self.task, latest=f"{name} {float(logs[name]):.4f}" if name else "")
        else:
            seconds = time.perf_counter() - self.began
            line = f"{self.title} epoch {epoch + 1}/{self.params['epochs']}  {'  '.join(shown)}  {seconds:.1f} s"
            print(line, flush=True)

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Gives the terminal back."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
