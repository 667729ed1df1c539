"""What dynamic masks do in `fit` and in loops of the user's own alike: checks, counting, updates, state, the end."""

from __future__ import annotations

import contextlib
import weakref
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks
from tf_pai.callbacks.flops import training_tables
from tf_pai.callbacks.gradients import BatchUpdate
from tf_pai.callbacks.history import MaskHistory
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.restoring import wait_for_restoring
from tf_pai.callbacks.schedule import Periodic
from tf_pai.callbacks.slots import counter_of
from tf_pai.callbacks.updater import Updater
from tf_pai.callbacks.weights import moving_weights
from tf_pai.records import remember_tables

_owners: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()  # the callback set last
RECORD_EVERY = 100  # steps between two records of a method that updates at every step


class MaskMover(keras.callbacks.Callback):
    """Runs a method of dynamic masks. What a method is, its subclass `DynamicMasks` says.

    Attributes:
        schedule: when masks are updated, in steps; known from the start of training on.
        weights: the weights whose masks move.
        updater: what applies the rules, during training.
        history: what happened, a `MaskHistory`.
        counts_at_start: how many places of each weight were alive before the first update.
    """

    schedule: Periodic
    weights: list[MovingWeight]
    updater: Updater
    history: MaskHistory
    counts_at_start: list[int]

    def __init__(self) -> None:
        super().__init__()
        self._is_running = False
        self._batch_update: BatchUpdate | None = None
        self._optimizer: Any = None
        self._batches_per_step = 1
        self._loop_count = 0
        self._length: tuple[int, int] | None = None
        self._restored: dict[str, np.ndarray] = {}

    def set_model(self, model: keras.Model, optimizer: Any = None) -> None:
        """Says which model is trained, and with which optimizer where that is not `model.optimizer`."""
        _finish_interrupted(self, model)
        if self._model is not None and self._model is not model:
            self._loop_count, self._restored = 0, {}
        super().set_model(model)
        self._optimizer = optimizer
        if isinstance(model, keras.Model):
            _owners[model] = weakref.ref(self)

    def _begin(self, batches_per_epoch: int | None, epochs: int | None, late: int = 0) -> None:
        """Checks everything, then makes everything ready; `late` says how many batches have been trained already."""
        checks.check_model(self, self.model)
        checks.check_calls(self, self.model)
        checks.check_owner(self, _owners.get(self.model))
        self._batches_per_step = getattr(counter_of(self.optimizer), "gradient_accumulation_steps", None) or 1
        total = None if batches_per_epoch is None or epochs is None else batches_per_epoch * epochs
        # Steps of an earlier fit belong to the training too; which they are, the first epoch's number says.
        self._length = None if batches_per_epoch is None or total is None else (batches_per_epoch, total)
        self.schedule = self._schedule_in_steps(batches_per_epoch, total)
        self.check()
        if not self._restored:  # else this callback has been here, and knows
            checks.check_not_over(self, max(self.batches_seen() - late, self._loop_count) // self._batches_per_step)
        with self._scope():
            self.prepare(self.model)
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.model.trainable_variables)
        self._take_up_weights()

    def _schedule_in_steps(self, batches_per_epoch: int | None, total: int | None) -> Periodic:
        """Under gradient accumulation, a step of several batches may begin in one epoch and end in the next."""

        def steps(batches: int | None) -> Fraction | None:
            return None if batches is None else Fraction(batches, self._batches_per_step)

        return self.make_schedule(steps(batches_per_epoch), steps(total))

    def _take_up_weights(self) -> None:
        model = self.model
        replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
        tile = self.tile_size if replicas == 1 else None  # replicas add up whole gradients
        self.weights = moving_weights(model, self.optimizer, tile)
        self._pass_dense_gradients(self.dense_gradients)
        self.updater = Updater(
            self,
            self.weights,
            self.seed,
            eagerly=bool(getattr(model, "run_eagerly", False)),
            skips_as_a_whole=isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer),
        )
        self._batch_update, self._is_running = None, True
        self.counts_at_start = self.updater.counts()
        self.history = MaskHistory({w.path: w.size for w in self.weights}, self.counts_at_start, self.log_dir)
        self._restore()

    def _pass_dense_gradients(self, value: bool) -> None:
        for weight in self.weights:
            if weight.mask is not None:  # sparse layers have no others
                weight.layer.passes_dense_gradients = value

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves an ordinary pruned model; last of all, where another callback puts weights of the training back."""
        if not wait_for_restoring(self, self._end):
            self._end()

    def _end(self) -> None:
        if not self._is_running:
            return
        self._pass_dense_gradients(False)
        self.retire(self.model, is_over=self.steps_taken() >= self.schedule.end)
        self._restored = self.updater.get_state()
        history, arguments = self.history, self._flops_arguments()
        history.record()
        make = lambda model: training_tables(model, history, *arguments)  # noqa: E731
        remember_tables(self.model, type(self).__name__, make)
        self._is_running = False

    @property
    def optimizer(self) -> Any:
        """The optimizer whose slots and steps are meant."""
        return self._optimizer if self._optimizer is not None else getattr(self.model, "optimizer", None)

    def _scope(self) -> Any:
        strategy = getattr(self.model, "distribute_strategy", None)
        return contextlib.nullcontext() if strategy is None else strategy.scope()

    def batches_seen(self) -> int:
        """Returns how many batches the optimizer has seen."""
        if self.optimizer is None:
            return 0
        iterations = counter_of(self.optimizer)._iterations
        return int(tf.convert_to_tensor(iterations.value))  # less work than Keras' convert_to_numpy

    def steps_taken(self) -> int:
        """Returns how many steps have been taken: by the optimizer's count, or by the loop's where that is unknown."""
        return max(self.batches_seen(), self._loop_count) // self._batches_per_step

    def is_due_after(self, count: int) -> bool:
        """Tells whether masks are updated after that many batches."""
        return count % self._batches_per_step == 0 and self.is_due(count // self._batches_per_step)

    def plan_tensors(self, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the step after that many batches and the plan for it, as tensors."""
        step = count // self._batches_per_step
        return Updater.as_tensors(step, *self.plan(step))

    def update_now(self, count: int, rows: Any = None) -> None:
        """Updates all masks after that many batches, unless that has given `rows` already; records what happened."""
        step = count // self._batches_per_step
        if rows is None:
            rows = self.updater(*self.plan_tensors(count))
        self.history.see(step, rows)
        if not self.moves_every_step or step % RECORD_EVERY == 0:
            self.history.record()

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns what the model does not hold: the count of `step` calls, what happened, which places ever lived."""
        happened = self.history.get_state() if self._is_running else {}
        ever_alive = self.updater.get_state() if self._is_running else self._restored
        return {**ever_alive, **happened, "count": np.array(self._loop_count)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Takes what `get_state` returned, before training goes on."""
        self._loop_count = int(state["count"])
        self._restored = dict(state)
        if self._is_running:
            self._restore()

    def _restore(self) -> None:
        self.updater.set_state(self._restored)
        self.history.set_state(self._restored)

    def report_section(self) -> dict[str, list[dict[str, Any]]]:
        """Returns the tables of a report: {title: rows}, a row being {column: value}."""
        return training_tables(self.model, self.history, *self._flops_arguments())

    def _flops_arguments(self) -> tuple[int, int | None]:
        every_step = 0 if self.dense_gradients or self.keeps_dense_weights else None
        return self.steps_taken(), self.schedule.every if self.reads_gradient else every_step


def _finish_interrupted(callback: MaskMover, model: Any) -> None:
    """Ends what an exception has left running, of this callback and of the one that moved the model's masks last."""
    owner = _owners.get(model) if isinstance(model, keras.Model) else None
    for other in {callback, None if owner is None else owner()}:
        if other is not None and other._is_running:
            other.on_train_end()
