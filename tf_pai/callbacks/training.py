"""The train function of a `fit` whose masks are updated: the model's own, and another for the steps that are due.

Nothing is added to an ordinary step: which function runs is decided between batches, by counting. The function of the
steps that are due computes dense gradients, gives the optimizer the masked ones, and updates the masks, all in one
graph, so that each dense gradient can be freed as soon as its own weight has been updated.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import reduce_per_replica

from tf_pai.callbacks import checks
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.slots import counter_of, optimizers_of
from tf_pai.layers.optimizers import loss_scale_of
from tf_pai.layers.projection import masked_gradient

LOOK_AHEAD = 1000  # batches


class TrainFunction:
    """Stands in for `model.train_function` during one `fit`.

    Args:
        callback: what is asked `is_due_after(count)` and told `update_now(rows, count)`.
        model: the model in training.

    Attributes:
        count: batches that the optimizer has seen so far.
        armed: whether the next call is one of this `fit`. Another comes from elsewhere (`train_on_batch`, or a `fit`
            without the callback after an interrupted one): the model gets its own function back, until `arm`.
    """

    def __init__(self, callback: Any, model: keras.Model):
        self.callback, self.model = callback, model
        self.count, self._next_due = 0, 0
        self.armed = self._is_checked = self._was_sent_away = False
        self._plain = model.train_function
        self._single: Callable | None = None
        self._due: Callable | None = None
        model.train_function = self

    def arm(self) -> None:
        """Lets the next call be one of this `fit`; the optimizer has gone on where others have trained in between."""
        if self._was_sent_away:  # others may have wrapped or replaced the function since: theirs stays
            self.model.train_function, self._was_sent_away = self, False
            self.count_from(self.callback.batches_seen())
        self.armed = True

    def remove(self) -> None:
        """Gives the model its own train function back."""
        if self.model.train_function is self:
            self.model.train_function = None if self.callback.dense_gradients else self._plain

    def __call__(self, iterator: Any) -> Any:
        """Runs one execution: `steps_per_execution` batches."""
        if not self.armed:
            self.remove()
            self._was_sent_away = True
            self.model.make_train_function()
            return self.model.train_function(iterator)
        self.armed = False
        steps, before = self.model.steps_per_execution, self.count
        due = self._is_due_within(steps)
        if due and (steps > 1 or self.callback.reads_gradient):
            logs = self._one_by_one(iterator, steps)
        else:
            logs = self._at_once(iterator, steps, due)
        if not self._is_checked:
            checks.check_updates(self.callback, self.callback.batches_seen() - before, steps)
            self._is_checked = True
        return logs

    def _at_once(self, iterator: Any, steps: int, due: bool) -> Any:
        logs = self._plain(iterator)
        self.count += steps
        if due and self._took_place():
            self.callback.update_now(self.count)
        return logs

    def count_from(self, count: int) -> None:
        """Counts on from `count` batches, by a schedule that may have changed."""
        self.count, self._next_due = count, 0

    def _is_due_within(self, steps: int) -> bool:
        if self.count + steps < self._next_due:
            return False
        self._next_due = self._find_due()
        is_due = self._next_due <= self.count + steps
        if is_due and self.count != (actual := self.callback.batches_seen()):  # loss scaling has skipped steps
            self.count_from(actual)
            return self._is_due_within(steps)
        return is_due

    def _find_due(self) -> int:
        """Returns after how many batches an update is due next, or how far was looked."""
        ahead = range(self.count + 1, self.count + LOOK_AHEAD)
        return next(filter(self.callback.is_due_after, ahead), ahead.stop)

    def _took_place(self, seen: int | None = None) -> bool:
        """Tells whether the step did; loss scaling skips those that overflow, and they are due again.

        Args:
            seen: batches that the optimizer has seen; None: asks.
        """
        self.count = self.callback.batches_seen() if seen is None else seen
        return self.callback.is_due_after(self.count)

    def _one_by_one(self, iterator: Any, steps: int) -> Any:
        logs = None
        for _ in range(steps):
            try:
                logs = self._one(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):  # no more data
                if logs is None:
                    raise
                break
        return logs

    def _one(self, iterator: Any) -> Any:
        count = self.count + 1
        due = self.callback.is_due_after(count)
        if due and self.callback.reads_gradient:
            if self._due is None:
                self._due = self._make_due()
            logs, rows, seen = self._due(iterator, *self.callback.plan_tensors(count))
            if self._took_place(int(seen)):
                self.callback.update_now(self.count, rows)
            return logs
        if self._single is None:
            self._single = self._make_single()
        logs, self.count = self._single(iterator), count
        if due and self._took_place():
            self.callback.update_now(self.count)
        return logs

    def _graph(self, function: Callable, **options: Any) -> Callable:
        """Returns (iterator, ...) -> function(batch, ...), of which nothing runs where there is no batch."""
        eagerly = self.model.run_eagerly
        if not eagerly:  # inlined, what reads nothing of a batch would run without one
            options["experimental_attributes"] = {"_noinline": True}
            function = tf.function(function, reduce_retracing=True, autograph=False, **options)

        def on_next_batch(iterator: Any, *args: Any) -> Any:
            return function(_without_optionals(iterator.get_next()), *args)

        return on_next_batch if eagerly else tf.function(on_next_batch, reduce_retracing=True, autograph=False)

    def _make_single(self) -> Callable:
        """Returns iterator -> logs: the model's own step."""
        strategy, step = self.model.distribute_strategy, self.model.train_step

        def single(batch: Any) -> Any:
            return reduce_per_replica(strategy.run(step, args=(batch,)), strategy, reduction="auto")

        return self._graph(single, jit_compile=self.model.jit_compile)

    def _make_due(self) -> Callable:
        """Returns (iterator, step, keep, total) -> (logs, rows, batches seen); not by XLA, which has no exact top-k."""
        model, updater = self.model, self.callback.updater
        strategy = model.distribute_strategy

        def due(batch: Any, *plan: tf.Tensor) -> Any:
            with captured_gradients(model, updater.weights, self.callback.train_on_update) as captured:

                def step(batch: Any) -> Any:
                    captured.gradients, captured.dense = {}, {}
                    captured.graph = tf.compat.v1.get_default_graph()
                    return model.train_step(batch), captured.gradients

                logs, gradients = strategy.run(step, args=(batch,))
            logs = reduce_per_replica(logs, strategy, reduction="auto")
            _check_captured(gradients)
            if strategy.num_replicas_in_sync > 1:
                gradients = {path: strategy.reduce("SUM", g, axis=None) for path, g in gradients.items()}
            seen = tf.convert_to_tensor(counter_of(model.optimizer)._iterations.value)  # a look costs more afterwards
            return logs, updater.update(*plan, gradients), seen

        return self._graph(due)


def _without_optionals(batch: Any) -> Any:
    """Returns the batch with None for what a dataset leaves out, as Keras' own function does it."""
    return keras.tree.map_structure(lambda v: None if isinstance(v, tf.experimental.Optional) else v, batch)


def _check_captured(gradients: dict[str, Any]) -> None:
    if not gradients:
        raise ValueError(
            "Growing by gradients needs a train_step that hands its gradients to model.optimizer. Received: a "
            "train_step that handed none of pruned weights. Call callback.step(x, y) in a loop of your own."
        )


@contextlib.contextmanager
def dense_backward(weights: list[MovingWeight], seen: Any) -> Iterator[None]:
    """Inside it, layers are traced with gradients that reach pruned weights; those of sparse ones go to `seen`."""
    with contextlib.ExitStack() as stack:
        for weight in weights:
            stack.enter_context(weight.dense_backward(seen))
        yield


@contextlib.contextmanager
def captured_gradients(model: keras.Model, weights: list[MovingWeight], train: bool) -> Iterator[Any]:
    """Inside it, a traced train step leaves its dense gradients in what is yielded, and trains on the masked ones.

    Args:
        model: the model; its optimizer's `apply` is intercepted on the instance.
        weights: the weights whose gradients are wanted.
        train: whether the step's own update of the weights takes place.
    """
    optimizer, captured = model.optimizer, threading.local()  # replicas are threads
    by_id = {id(weight.variable): weight for weight in weights}
    masking = {id(w.variable) for w in weights if w.masks_gradient and not _takes_dense_gradients(optimizer)}
    apply = optimizer.apply if train else functools.partial(_count_only, optimizer)

    def capture(grads: Any, trainable_variables: Any = None) -> None:
        checks.check_graph(captured.graph)
        variables = list(optimizer._trainable_variables if trainable_variables is None else trainable_variables)
        grads, scale = list(grads), loss_scale_of(optimizer)
        for i, (gradient, variable) in enumerate(zip(grads, variables, strict=True)):
            weight = by_id.get(id(variable))
            if weight is not None and gradient is not None:
                captured.gradients[weight.path] = weight.dense_gradient(gradient, captured, scale)
                if id(variable) in masking:
                    grads[i] = masked_gradient(gradient, weight.mask.value)
        apply(grads, variables)

    own = vars(optimizer).get("apply")
    with dense_backward(weights, captured):
        vars(optimizer)["apply"] = capture
        try:
            yield captured
        finally:
            vars(optimizer).pop("apply")
            if own is not None:
                vars(optimizer)["apply"] = own


def _count_only(optimizer: Any, grads: Any, variables: Any) -> None:
    """Takes the place of an update of the weights; gradients that were accumulated for it are used up as well."""
    for counting in {id(o): o for o in (counter_of(optimizer), *optimizers_of(optimizer))}.values():
        counting._iterations.assign_add(1)
        if counting.gradient_accumulation_steps:
            counting._backend_reset_gradient_accumulators()


def _takes_dense_gradients(optimizer: Any) -> bool:
    return any(isinstance(leaf, keras.optimizers.Adafactor) for leaf in optimizers_of(optimizer))
