"""How dynamic masks live in `fit`."""

from __future__ import annotations

from typing import Any

from tf_pai.callbacks.lifecycle import MaskMover
from tf_pai.callbacks.training import TrainFunction


class InFit(MaskMover):
    """What Keras calls during `fit`."""

    def __init__(self) -> None:
        super().__init__()
        self._train_function: TrainFunction | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks all arguments, then makes everything ready."""
        params = self.params or {}
        self._loop_count = 0
        self._begin(params.get("steps"), params.get("epochs"))
        self.model.make_train_function(force=self.dense_gradients)
        self._train_function = TrainFunction(self, self.model)
        self._train_function.count_from(self.batches_seen())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts on from where the optimizer is: a restored one has jumped."""
        if self._length is not None:
            batches_per_epoch, total = self._length
            earlier = self.batches_seen() - epoch * batches_per_epoch
            self.schedule = self._schedule_in_steps(batches_per_epoch, total + max(earlier, 0))
            self._length = None
        if self._train_function is not None:
            self._train_function.count_from(self.batches_seen())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Lets the train function work."""
        if self._train_function is not None:
            self._train_function.arm()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds density, exploration and churn to the logs."""
        self.history.record()
        if logs is not None:
            logs.update(self.history.epoch_logs())

    def _end(self) -> None:
        if self._train_function is not None:
            self._train_function.remove()
            self._train_function = None
        super()._end()
