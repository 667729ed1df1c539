"""`fit`: Keras' own fit, epoch by epoch, with all state on disk after each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tf_pai.layers import kept_counts, weights_of
from tf_pai.training import checkpoint
from tf_pai.training.batches import batches_of
from tf_pai.training.callbacks import OneRun, get_state, set_state


def fit(
    model: keras.Model,
    data: Any,
    *,
    epochs: int,
    validation_data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: Any = None,
    seed: int = 0,
    batch_size: int = 32,
    verbose: Any = "auto",
) -> keras.callbacks.History:
    """Trains a compiled model as `model.fit` does; with a `folder`, a killed run goes on where it was.

    After each epoch the weights, masks, seeds, optimizer, history and callbacks are in `folder/checkpoint.npz`. The
    same call with the same model then goes on after the last complete epoch, and a finished run is only read. With
    `tf.config.experimental.enable_op_determinism()` the result is that of an unkilled run, bit for bit; without it,
    operations that add in any order may differ in the last digits, as they do between any two runs.

    Args:
        model: a built and compiled model.
        data: arrays (x, y), shuffled anew in each epoch; a `tf.data.Dataset`; or a function from an epoch, counted
            from 0, to a `tf.data.Dataset`. A dataset's order is its own affair: to be resumed to the same result, it
            must not depend on how often it was read, so prefer the function.
        epochs: number of epochs in all, those of an earlier, killed call included.
        validation_data: as in `model.fit`; evaluated after each epoch.
        callbacks: of Keras or of `tf_pai.callbacks`. What they remember goes to disk where they offer
            `get_state()` and `set_state(state)`, or `variables`; EarlyStopping, ReduceLROnPlateau and ModelCheckpoint
            of Keras do as well. `on_train_begin` is called in each process, before anything is restored.
        folder: where the run's state is kept; None: nowhere.
        seed: the order of arrays in epoch e is a function of (seed, e).
        batch_size: examples per batch of arrays.
        verbose: as in `model.fit`; "auto" for a bar in a terminal and silence elsewhere.

    Returns:
        Keras' History, with the epochs of killed calls in it.

    Raises:
        ValueError: an uncompiled or unbuilt model, a damaged checkpoint, a folder that another configuration has begun.
        OSError: the checkpoint cannot be written; the one before is untouched.

    Example:
        >>> import keras, numpy as np, tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> data, folder = (np.ones((4, 2)), np.ones((4, 1))), tempfile.mkdtemp()
        >>> fit(model, data, epochs=2, folder=folder).epoch
        [0, 1]
        >>> fit(model, data, epochs=2, folder=folder).epoch  # finished: read, not trained
        [0, 1]
    """
    _check(model, epochs)
    batches = batches_of(data, seed, batch_size)
    if verbose == "auto":
        verbose = int(sys.stdout.isatty())
    steps = _steps(batches(0))
    config = configuration(model, epochs=epochs, seed=seed, batch_size=batch_size, steps=steps)
    state = _State(model, folder, config)
    model.make_train_function()
    options = {"add_history": True, "add_progbar": verbose != 0, "verbose": verbose, "epochs": epochs}
    run = OneRun(list(callbacks), model=model, steps=None if steps < 0 else steps, **options)
    run.on_train_begin()
    start = state.begin(run)
    with _averages_aside(model.optimizer):
        for epoch in range(start, epochs):
            model.fit(
                batches(epoch),
                initial_epoch=epoch,
                epochs=epoch + 1,
                validation_data=validation_data,
                validation_batch_size=batch_size if isinstance(validation_data, (tuple, list)) else None,
                callbacks=run,
                shuffle=False,
                verbose=verbose,
            )
            stopped = bool(model.stop_training)
            state.save(run, epochs if stopped else epoch + 1)
            if stopped:
                break
    model.optimizer.finalize_variable_values(model.trainable_weights)
    run.finish()
    return model.history


class _State:
    """What is on disk of one run, and the variables it belongs to."""

    def __init__(self, model: keras.Model, folder: Any, config: dict[str, Any]):
        self.model, self.config = model, config
        self.file = None if folder is None else pathlib.Path(folder) / checkpoint.FILE
        self.stored = None if self.file is None or not self.file.exists() else checkpoint.load(self.file)
        if self.file is not None and self.stored is not None:
            _check_same(self.stored[0]["config"], config, self.file)

    def begin(self, run: OneRun) -> int:
        """Restores what is on disk, or puts the initial state there; returns the number of complete epochs."""
        if self.file is None or self.stored is None:
            self.save(run, 0)
            return 0
        about, values = self.stored
        self.stored = None
        checkpoint.restore(self._variables(), values, self.file)
        for callback, state in zip(run.callbacks, about["callbacks"], strict=False):
            if state:
                set_state(callback, state)
        run._history.history, run._history.epoch = about["history"], about["seen"]
        return about["epochs"]

    def save(self, run: OneRun, complete: int) -> None:
        """Puts the state after `complete` epochs on disk."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        history = run._history
        about = {
            "config": self.config,
            "epochs": complete,
            "history": history.history,
            "seen": history.epoch,
            "callbacks": [get_state(callback) for callback in run.callbacks],
        }
        checkpoint.save(self.file, about, self._variables())

    def _variables(self) -> list[keras.Variable]:
        """Weights, masks, seeds and optimizer slots; metrics begin anew in each epoch."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        of_model = [variable for variable in self.model.variables if id(variable) not in metrics]
        return of_model + list(self.model.optimizer.variables)


def _check(model: keras.Model, epochs: int) -> None:
    if not model.compiled or not model.built:
        missing = "compiled" if not model.compiled else "built"
        raise ValueError(
            f"A model is built and compiled before it is trained. Received: {model.name!r}, which is not {missing}."
        )
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs is a number of epochs, 0 or more. Received: epochs={epochs!r}.")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _steps(batches: Any) -> int:
    """Number of batches, or a negative number where it is not known before they are read."""
    return int(batches.cardinality()) if hasattr(batches, "cardinality") else int(getattr(batches, "num_batches", -1))


def configuration(model: keras.Model, **numbers: int) -> dict[str, Any]:
    """Returns what must be the same for a run to go on, {dotted name: value}, without names that Keras counts up.

    Not the initial weights: the checkpoint holds the trained ones.
    """
    shapes = [(list(weight.shape), weight.dtype) for weight in weights_of(model).values()]
    config = {
        **numbers,
        "optimizer": keras.saving.serialize_keras_object(model.optimizer),
        "loss": keras.saving.serialize_keras_object(model.loss),
        "weights": hashlib.blake2s(json.dumps(shapes).encode()).hexdigest(),
        "kept weights": sum(kept for kept, _ in kept_counts(model).values()),
    }
    return dict(_leaves("", json.loads(json.dumps(config, default=str))))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "name":
                yield from _leaves(f"{prefix}.{name}".lstrip("."), item)
    else:
        yield prefix, value


def _check_same(stored: dict[str, Any], config: dict[str, Any], file: pathlib.Path) -> None:
    for key in {**config, **stored}:
        if stored.get(key) != config.get(key):
            raise ValueError(
                f"A folder belongs to one configuration. Received: {key}={config.get(key)!r}, but {str(file)!r} was "
                f"begun with {key}={stored.get(key)!r}. Nothing was changed: use another folder, or "
                "the old configuration."
            )


@contextlib.contextmanager
def _averages_aside(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Keras ends each fit by writing the averaged weights (EMA) over the weights: here the run ends later."""
    optimizer.finalize_variable_values = lambda variables: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
