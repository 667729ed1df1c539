"""The bench: trains one architecture from given weights under given masks, and never the same thing twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tf_pai.layers import weights_of, wrap_model
from tf_pai.layers.optimizers import averages_of, copy_optimizer, keep_exclusions, optimizers_of
from tf_pai.masks import Masks, get_masks, set_masks
from tf_pai.tickets.shifting import digest_of, first_steps, from_step, replicate_of, steps_of
from tf_pai.training import batches_of, fit
from tf_pai.training.fit import configuration

Values = dict[str, np.ndarray]
Callbacks = Callable[[str], Sequence[keras.callbacks.Callback]]


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        values: {path: value} of every weight after the last step.
        metrics: of the last epoch: those of the validation data where there is any, else of training.
        history: {metric: one value per epoch}.
    """

    values: Values
    metrics: dict[str, float]
    history: dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Routine:
    """How every network of a bench is trained; arguments as in `tf_pai.training.fit`.

    Attributes:
        data: arrays, a dataset, or a function from an epoch to a dataset.
        epochs: of one training.
        validation_data: evaluated after each epoch.
        batch_size: examples per batch of arrays.
        seed: the order of the data is a function of (seed, epoch).
        callbacks: called with the name of a training, gives its callbacks.
        verbose: of the trainings; "auto" says nothing.
    """

    data: Any
    epochs: int
    validation_data: Any = None
    batch_size: int = 32
    seed: int = 0
    callbacks: Callbacks | None = None
    verbose: Any = "auto"


class Bench:
    """Trains copies of one model that differ in start, masks and seed.

    With a folder, each training has its own in it, named by a hash of all that decides its result: a killed one goes
    on, and whoever asks for a training that was made before, be it a level, a branch or a check, gets it from disk.

    Args:
        model: a built and compiled model; a Sequential or functional one is copied.
        routine: how it is trained.
        paths: weights that get masks.
        folder: where trainings keep their state; None: nowhere.
    """

    def __init__(self, model: keras.Model, routine: Routine, paths: Sequence[str], folder: pathlib.Path | None = None):
        self.routine, self.folder = routine, folder
        self.model = wrap_model(model, paths)
        self._optimizer = self._pattern = self.model.optimizer
        self.compile()
        self._digests: dict[int, tuple[Any, str]] = {}
        self.steps = steps_of(batches_of(routine.data, routine.seed, routine.batch_size)(0))

    def compile(self, optimizer: keras.optimizers.Optimizer | None = None) -> None:
        """Compiles the model as it was, with another optimizer, or a new one of the same kind."""
        old = self._optimizer
        self._pattern = copy_optimizer(
            self._pattern if optimizer is None else optimizer
        )  # no callback changes its rate
        optimizer = copy_optimizer(self._pattern)
        self.model.compile(**{**self.model._compile_config.config, "optimizer": optimizer})
        keep_exclusions(old, self.model.optimizer, ((weight, weight) for weight in self.model.trainable_variables))
        optimizer.build(self.model.trainable_variables)
        self._optimizer = self.model.optimizer
        self._new_optimizer = [np.asarray(variable) for variable in optimizer.variables]

    def values(self) -> Values:
        """Returns {path: value} of every weight of the model as it is now."""
        return {path: np.array(variable) for path, variable in weights_of(self.model).items()}

    def dense(self) -> Masks:
        """Returns masks of ones."""
        return {path: np.ones(mask.shape, bool) for path, mask in get_masks(self.model).items()}

    def reset(self, values: Values, masks: Masks, step: int = 0, seed: int = 0) -> None:
        """Makes the model what it is before a training: weights, masks, a new optimizer at `step`, seeds."""
        if self.model.optimizer is not self._optimizer:  # another bench has compiled the same subclassed model
            self.compile()
        variables = weights_of(self.model)
        for path, value in values.items():
            variables[path].assign(value)
        set_masks(self.model, {**self.dense(), **masks})
        self._reset_optimizer(step)
        for place, variable in enumerate(self._states()):
            variable.assign(np.array([seed, place], variable.dtype)[: variable.shape[0]])
        self.model.stop_training = False

    def _reset_optimizer(self, step: int) -> None:
        """A new optimizer's state, at `step`; averages of the weights (EMA) are the weights, as at a first step."""
        optimizer = self.model.optimizer
        for variable, value in zip(optimizer.variables, self._new_optimizer, strict=True):
            variable.assign(value)
        for leaf in optimizers_of(optimizer):
            leaf._iterations.assign(step)  # the batches seen: `iterations` are updates, where gradients are gathered
        for weight in self.model.trainable_variables if step else ():
            for average in averages_of(optimizer, weight):
                average.assign(weight)

    def _states(self) -> list[keras.Variable]:
        """The states of dropout and other layers' generators: what is neither weight, mask nor metric."""
        known = {id(variable) for variable in [*weights_of(self.model).values(), *self.model.metrics_variables]}
        return [v for v in self.model.variables if id(v) not in known and "uint" in str(v.dtype) and len(v.shape) == 1]

    def train(
        self,
        values: Values,
        masks: Masks,
        name: str,
        *,
        step: int = 0,
        until: int | None = None,
        replicate: int = 0,
        data: Any = None,
        epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        tag: str = "",
    ) -> Trained:
        """Trains from `values` under `masks`, and returns what that gives; `self.model` is then the trained model.

        Args:
            values: {path: value} to start from.
            masks: {path: mask}.
            name: what is trained, for `callbacks` and messages.
            step: step of the whole training at which this one starts: learning rate and order of the data are those
                of that step.
            until: step at which it ends; default: the end of the whole training.
            replicate: number of the repetition; each has its own order of the data.
            data: in place of the routine's.
            epochs: in place of the routine's.
            callbacks: more of them, for what they do; `tag` has to say what that is.
            tag: what else the result depends on.
        """
        routine = self.routine
        data = routine.data if data is None else data
        epochs = routine.epochs if epochs is None else epochs
        batches = replicate_of(data, routine.seed, replicate, routine.batch_size)
        if until is not None:
            batches, epochs = first_steps(batches, until, self.steps)
        if step:
            batches, epochs = from_step(batches, epochs, step, self.steps)
        self.reset(values, masks, step, routine.seed + replicate)
        known = [step, until, replicate, epochs, routine.seed, routine.batch_size, tag]
        known += [self._digest(data), self._digest(routine.validation_data)]
        if (shares := self.model._compile_config.config.get("loss_weights")) is not None:
            known.append(repr(shares))
        history = fit(
            self.model,
            batches,
            epochs=epochs,
            validation_data=routine.validation_data,
            callbacks=[*callbacks, *(() if routine.callbacks is None else routine.callbacks(name))],
            folder=None if self.folder is None else self.folder / self._key(values, masks, known),
            seed=routine.seed,
            batch_size=routine.batch_size,
            verbose=0 if routine.verbose == "auto" else routine.verbose,
        )
        logs = {metric: [float(value) for value in series] for metric, series in history.history.items()}
        return Trained(self.values(), last_metrics(logs), logs)

    def evaluate(self) -> dict[str, float]:
        """Returns the metrics of the model as it is now on the validation data."""
        data, options = self.routine.validation_data, {"verbose": 0, "return_dict": True}
        if isinstance(data, (tuple, list)):
            arrays = dict(zip(("x", "y", "sample_weight"), data, strict=False))
            logs = self.model.evaluate(**arrays, batch_size=self.routine.batch_size, **options)
        else:
            logs = self.model.evaluate(data, **options)
        return {name: float(value) for name, value in logs.items()}

    def _digest(self, data: Any) -> str:
        """The digest of data, which are kept as long as it is: another object could get the same id."""
        if id(data) not in self._digests:
            self._digests[id(data)] = data, "" if data is None else digest_of(data)
        return self._digests[id(data)][1]

    def _key(self, values: Values, masks: Masks, known: list[Any]) -> str:
        text = hashlib.blake2s(json.dumps([known, configuration(self.model)]).encode(), digest_size=10)
        for value in values.values():
            text.update(value.tobytes())
        for mask in {**self.dense(), **masks}.values():
            text.update(np.packbits(mask).tobytes())
        return text.hexdigest()


def batches_seen(optimizer: keras.optimizers.Optimizer) -> int:
    """Returns how many batches an optimizer has seen, which are more than its updates where gradients are gathered."""
    return int(optimizers_of(optimizer)[0]._iterations.numpy())


def last_metrics(logs: dict[str, list[float]]) -> dict[str, float]:
    """Returns the last value of each validation metric, without its prefix; of the others where there is none."""
    last = {name: values[-1] for name, values in logs.items() if values}
    validated = {name.removeprefix("val_"): value for name, value in last.items() if name.startswith("val_")}
    return validated or last
