"""How dynamic masks live in `fit`, and in loops of the user's own: checks, counting, updates, logs, state."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks
from tf_pai.callbacks.flops import training_tables
from tf_pai.callbacks.gradients import DenseGradients
from tf_pai.callbacks.history import MaskHistory
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.restoring import wait_for_restoring
from tf_pai.callbacks.schedule import Periodic
from tf_pai.callbacks.slots import counter_of
from tf_pai.callbacks.training import TrainFunction
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
        self._train_function: Any = None
        self._dense_gradients: DenseGradients | None = None
        self._optimizer: Any = None
        self._loop_count = 0
        self._length: tuple[int, int] | None = None
        self._restored: dict[str, np.ndarray] = {}

    # In `fit`.

    def set_model(self, model: keras.Model, optimizer: Any = None) -> None:
        """Says which model is trained, and with which optimizer where that is not `model.optimizer`."""
        _finish_interrupted(self, model)
        if self._model is not None and self._model is not model:
            self._loop_count, self._restored = 0, {}
        super().set_model(model)
        self._optimizer, self._dense_gradients = optimizer, None
        if isinstance(model, keras.Model):
            _owners[model] = weakref.ref(self)

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks all arguments, then makes everything ready."""
        params = self.params or {}
        self._begin(params.get("steps"), params.get("epochs"))
        self.model.make_train_function(force=self.dense_gradients)
        self._train_function = TrainFunction(self, self.model)
        self._train_function.count_from(self.batches_seen())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts on from where the optimizer is: a restored one has jumped."""
        if self._length is not None:
            steps_per_epoch, total = self._length
            earlier = self._steps_seen() - epoch * steps_per_epoch
            self.schedule = self.make_schedule(steps_per_epoch, total + max(earlier, 0))
            self._length = None
        self._train_function.count_from(self.batches_seen())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Lets the train function work."""
        self._train_function.armed = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds density, exploration and churn to the logs."""
        if self.history.unrecorded:
            self.history.add(self._steps_seen())
        if logs is not None:
            logs.update(self.history.epoch_logs())

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves an ordinary pruned model; last of all, where another callback puts weights of the training back."""
        if not wait_for_restoring(self, self._end):
            self._end()

    def _end(self) -> None:
        if self._train_function is not None:
            self._train_function.remove()
            self._train_function = None
        if not self._is_running:
            return
        if self.dense_gradients:
            for layer, value in self._masked_before:
                layer.mask_gradients = value
        self.retire(self.model, is_over=self._steps_seen() >= self.schedule.end)
        self._restored = self.updater.get_state()
        history, arguments = self.history, self._flops_arguments()
        make = lambda model: training_tables(model, history, *arguments)  # noqa: E731
        remember_tables(self.model, type(self).__name__, make)
        self._is_running = False

    def _begin(self, steps_per_epoch: int | None, epochs: int | None) -> None:
        model = self.model
        checks.check_model(self, model)
        checks.check_owner(self, _owners.get(model))
        self._batches_per_step = getattr(counter_of(self.optimizer), "gradient_accumulation_steps", None) or 1
        if steps_per_epoch is not None:
            steps_per_epoch = steps_per_epoch // self._batches_per_step
        total = None if steps_per_epoch is None or epochs is None else steps_per_epoch * epochs
        # Steps of an earlier fit belong to the training too; which they are, the first epoch's number says.
        self._length = None if steps_per_epoch is None or total is None else (steps_per_epoch, total)
        self.schedule = self.make_schedule(steps_per_epoch, total)
        self.check()
        with self._scope():
            self.prepare(model)
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(model.trainable_variables)
        replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
        tile = self.tile_size if replicas == 1 else None  # replicas add up whole gradients
        self.weights: list[MovingWeight] = moving_weights(model, self.optimizer, tile)
        if self.dense_gradients:
            self._masked_before = [(weight.layer, weight.layer.mask_gradients) for weight in self.weights]
            for layer, _ in self._masked_before:
                layer.mask_gradients = False
        self.updater = Updater(
            self,
            self.weights,
            self.seed,
            eagerly=bool(getattr(model, "run_eagerly", False)),
            skips_as_a_whole=isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer),
        )
        self._is_running = True
        self.counts_at_start = self.updater.counts()
        self.history = MaskHistory({w.path: w.size for w in self.weights}, self.counts_at_start, self.log_dir)
        self._restore()

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
        return int(keras.ops.convert_to_numpy(counter_of(self.optimizer)._iterations))

    def _steps_seen(self) -> int:
        return self.batches_seen() // self._batches_per_step

    def is_due_after(self, count: int) -> bool:
        """Tells whether masks are updated after that many batches."""
        return count % self._batches_per_step == 0 and self.is_due(count // self._batches_per_step)

    def plan_tensors(self, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the step after that many batches and the plan for it, as tensors."""
        step = count // self._batches_per_step
        return Updater.as_tensors(step, *self.plan(step))

    def update_now(self, count: int, rows: Any = None, gradients: Any = None) -> None:
        """Updates all masks after that many batches, unless that has given `rows` already; records what happened."""
        step = count // self._batches_per_step
        if rows is None:
            keep, total = self.plan(step)
            rows = self.updater(step, keep, total, gradients)
        self.history.see(rows)
        if not self.moves_every_step or step % RECORD_EVERY == 0:
            self.history.add(step)

    # In a loop of the user's own.

    def step(self, x: Any, y: Any = None, sample_weight: Any = None) -> bool:
        """Updates masks where that is due; called once per batch, after the optimizer's update; never trains.

        Call `set_model(model)` before the loop, and `on_train_end()` after it.

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
            checks.check_model_set(self)
            self._begin(None, None)
        seen = self.batches_seen()
        self._loop_count = seen if seen > self._loop_count else self._loop_count + 1
        if not self.is_due_after(self._loop_count):
            return False
        gradients = None
        if self.reads_gradient:
            if self._dense_gradients is None:
                self._dense_gradients = DenseGradients(self.model, self.weights)
            checks.check_labels(self, y)
            gradients = self._dense_gradients(x, y, sample_weight)
        self.update_now(self._loop_count, gradients=gradients)
        return True

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
        steps = max(self.batches_seen(), self._loop_count) // self._batches_per_step
        return steps, self.schedule.every if self.reads_gradient else every_step


def _finish_interrupted(callback: MaskMover, model: Any) -> None:
    """Ends what an exception has left running, of this callback and of the one that moved the model's masks last."""
    owner = _owners.get(model) if isinstance(model, keras.Model) else None
    for other in {callback, None if owner is None else owner()}:
        if other is not None and other._is_running:
            other.on_train_end()
