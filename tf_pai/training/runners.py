"""What `tf_pai.run` hands to a track, and the registry in which tracks say how their methods run.

A track adds itself with one function, in a module that its package imports:

    @RUNNERS.register("tickets")
    def find_and_train(job: Job) -> keras.Model:
        ticket = find_ticket(job.model(), job.method, job.sparsity, run_dir=job.stage_folder("tickets"), ...)
        job.fit(ticket.model)
        return ticket.model

`tf_pai.run` has then checked the arguments, seeded the generators, and later evaluates, reports and stores the model.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tf_pai.registry import Registry
from tf_pai.training.batches import first_batches
from tf_pai.training.fit import fit

Callbacks = Callable[[str], Sequence[keras.callbacks.Callback]]


@dataclasses.dataclass(frozen=True)
class Job:
    """One method on one model and one data set.

    Attributes:
        model_fn: gives a new, built and compiled model in each call.
        method: a name in `tf_pai.list_methods()`.
        sparsity: in [0, 1).
        data: training data as in `tf_pai.training.fit`.
        epochs: of one training.
        seed: of everything random.
        validation_data: as in `model.fit`, or None.
        score_data: data for the score as in `prune_at_init`; None: batches of the first epoch.
        batch_size: examples per batch of data given as arrays.
        callbacks: called with the name of a stage, gives the callbacks of its training; None: none.
        folder: where the stages keep their state; None: nowhere.
        options: the method's own, e.g. {"distribution": "erk"}.
        verbose: as in `tf_pai.training.fit`.
    """

    model_fn: Callable[[], keras.Model]
    method: str
    sparsity: float | None
    data: Any
    epochs: int
    seed: int = 0
    validation_data: Any = None
    score_data: Any = None
    batch_size: int = 32
    callbacks: Callbacks | None = None
    folder: pathlib.Path | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    verbose: Any = "auto"

    def model(self) -> keras.Model:
        """Returns a new model, the same in each call where `model_fn` draws from Keras' generators or has a seed.

        Raises:
            ValueError: it is not compiled.
            TypeError: it is not a Keras 3 model.
        """
        keras.utils.set_random_seed(self.seed)
        model = self.model_fn()
        if not isinstance(model, keras.Model):
            raise TypeError(f"model_fn returns a Keras 3 model. Received: {type(model).__name__}.")
        if not model.compiled:
            raise ValueError(
                f"model_fn returns a compiled model. Received: {model.name!r}, not compiled. Call model.compile in it."
            )
        return model

    def scoring_data(self) -> Any:
        """Returns what a score is computed on."""
        return first_batches(self.data) if self.score_data is None else self.score_data

    def stage_folder(self, stage: str) -> pathlib.Path | None:
        """Returns the folder of one stage, e.g. "train" or "finetune"."""
        return None if self.folder is None else self.folder / stage

    def fit(self, model: keras.Model, stage: str = "train", epochs: int | None = None) -> keras.callbacks.History:
        """Trains `model` as the job says, resumed where the stage's folder holds a part of it."""
        return fit(
            model,
            self.data,
            epochs=self.epochs if epochs is None else epochs,
            validation_data=self.validation_data,
            callbacks=[] if self.callbacks is None else self.callbacks(stage),
            folder=self.stage_folder(stage),
            seed=self.seed,
            batch_size=self.batch_size,
            verbose=self.verbose,
        )


RUNNERS: Registry[Callable[[Job], keras.Model]] = Registry("track")
