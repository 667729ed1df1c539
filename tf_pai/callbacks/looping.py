"""How dynamic masks live in a loop of the user's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.callbacks import checks
from tf_pai.callbacks.gradients import BatchUpdate
from tf_pai.callbacks.lifecycle import MaskMover


class InLoop(MaskMover):
    """What a loop calls: `begin` before it, `step` after each batch, `on_train_end` after it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen_at_first, self._ahead, self._is_counted = 0, 0, False

    def set_model(self, model: keras.Model, optimizer: Any = None) -> None:
        """Says which model is trained, and with which optimizer where that is not `model.optimizer`."""
        super().set_model(model, optimizer)
        self._count_from_here()

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Takes what `get_state` returned, before training goes on."""
        super().set_state(state)
        if self._model is not None:
            self._count_from_here()

    def _count_from_here(self) -> None:
        self._seen_at_first, self._is_counted = self.batches_seen(), False
        # A loop that goes on without its optimizer's state is ahead of it.
        self._ahead = max(self._loop_count - self._seen_at_first, 0)

    def begin(self, model: keras.Model, optimizer: Any = None) -> None:
        """Makes everything ready for a loop.

        Some methods change what the layers compute: a step that is traced (by `tf.function`) is traced after this
        call, and once more after `on_train_end()` where training goes on without the callback.

        Args:
            model: a built model.
            optimizer: the one that trains it, where that is not `model.optimizer`.

        Raises:
            ValueError: where an argument is wrong; see `fit`.
        """
        self.set_model(model, optimizer)
        self._begin(None, None)
        if self.dense_gradients:
            model.train_function = None  # of `train_on_batch`

    def step(self, x: Any, y: Any = None, sample_weight: Any = None) -> bool:
        """Updates masks where that is due; called once per batch, after the optimizer's update; never trains.

        Call `begin(model)` before the loop, and `on_train_end()` after it. For methods that start from a pruned model
        and keep its pruned weights at zero, `set_model(model)` does as well.

        Args:
            x: the batch's inputs.
            y: its labels; needed where masks grow by gradients, which are computed here, with BatchNorm and dropout in
                training mode and without a trace on their state.
            sample_weight: weights of the examples, or None.

        Returns:
            Whether masks were updated.

        Raises:
            ValueError: at the first call, where an argument is wrong; see `fit`.
        """
        if not self._is_running:
            checks.check_begun(self)
            self._begin(None, None, late=1)
        if self.reads_gradient:
            checks.check_labels(self, y)
        if not self._count_batch() or not self.is_due_after(self._loop_count):
            return False
        self.update_now(self._loop_count, self._update_on(x, y, sample_weight) if self.reads_gradient else None)
        return True

    def _count_batch(self) -> bool:
        """Counts a batch; tells whether the optimizer did: loss scaling skips those whose gradients overflow.

        The optimizer's count is the one that holds, as soon as it has moved: else another one trains.
        """
        seen, before = self.batches_seen(), self._loop_count
        self._is_counted = self._is_counted or seen != self._seen_at_first
        self._loop_count = seen + self._ahead if self._is_counted else max(before, seen) + 1
        return self._loop_count != before

    def _update_on(self, x: Any, y: Any, sample_weight: Any) -> Any:
        if self._batch_update is None:
            self._batch_update = BatchUpdate(self.model, self.updater)
        return self._batch_update(self.plan_tensors(self._loop_count), x, y, sample_weight)
