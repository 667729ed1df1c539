"""The survey's eq. 2 as code: what a method is, and running any one of them from end to end.

w' = f1(w_k1; D) * f2(w_k2; D),    w* = f3(w'; D)
"""

from __future__ import annotations

import dataclasses
import json
import numbers
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras

from tf_pai import traditional  # noqa: F401, registers its track and methods, as `tf_pai.callbacks` does
from tf_pai.files import write_whole
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.registry import METHODS, MethodInfo
from tf_pai.reporting import Report, report
from tf_pai.static import runner  # noqa: F401, registers the track
from tf_pai.training import RUNNERS, Job
from tf_pai.training.folders import begin, read_json

ANY = "any"
IDENTITY = "I"
RESULT = "result.json"  # written last: a folder that holds it is finished


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A method, or a paradigm of methods, as a choice of (k1, f1, k2, f2, f3) in eq. 2.

    Attributes:
        k1: step whose weights give the mask: "0" or "K", the last step; of a paradigm also "0 or K".
        f1: how the mask is chosen.
        k2: step whose weights are kept: "0" or "K".
        f2: how the kept weights are changed; "I" for not at all.
        f3: how the pruned network is trained: "train", or "I" for not at all.

    Example:
        >>> print(Recipe("0", "SNIP", "0", "I", "train"))
        w* = train(SNIP(w_0; D) * w_0; D)
    """

    k1: str
    f1: str
    k2: str
    f2: str
    f3: str

    def __str__(self) -> str:
        kept = f"w_{self.k2}" if self.f2 == IDENTITY else f"{self.f2}(w_{self.k2}; D)"
        pruned = f"{self.f1}(w_{self.k1}; D) * {kept}"
        return f"w* = {pruned}" if self.f3 == IDENTITY else f"w* = {self.f3}({pruned}; D)"

    def belongs_to(self, paradigm: Recipe) -> bool:
        """Tells whether this is a case of `paradigm`, by the columns of Table 1: weights from, mask from, trained.

        f2 is no column of Table 1: Lee et al. 2020 change the initial weights, and train sparsely all the same.
        """
        columns = ("k1", "k2", "f3")
        return all(getattr(self, name) in getattr(paradigm, name).split(" or ") for name in columns)


# Table 1 of the survey. Its rows "Sparse training (LTH)" and "Sparse training (SNIP)" are one paradigm in section
# 2.1, "k1 = K (LTH) or 0 (SNIP)": they differ in where the mask comes from.
TRADITIONAL = Recipe(k1="K", f1=ANY, k2="K", f2=ANY, f3="train")
SPARSE_TRAINING = Recipe(k1="0 or K", f1=ANY, k2="0", f2=IDENTITY, f3="train")
SPARSE_SELECTION = Recipe(k1="0", f1=ANY, k2="0", f2=IDENTITY, f3=IDENTITY)
PARADIGMS = {
    "traditional pruning": TRADITIONAL,
    "sparse training": SPARSE_TRAINING,
    "sparse selection": SPARSE_SELECTION,
}


def recipe_of(method: str | MethodInfo) -> Recipe:
    """Returns a registered method as a recipe.

    Raises:
        ValueError: no method has that name.

    Example:
        >>> print(recipe_of("grasp"))
        w* = train(GraSP(w_0; D) * w_0; D)
        >>> print(recipe_of("dense"))
        w* = train(1(w_0; D) * w_0; D)
    """
    info = method if isinstance(method, MethodInfo) else METHODS.find(method)
    f1 = "1" if info.name == "dense" else info.survey_name
    transform = info.make().transform if info.track == "static" else None
    f2 = IDENTITY if transform is None else getattr(transform, "__name__", type(transform).__name__)
    return Recipe(info.k1, f1, info.k2, f2, IDENTITY if info.track == "selection" else "train")


def paradigm_of(method: str | MethodInfo) -> str:
    """Returns the paradigm of Table 1 that a method belongs to.

    Example:
        >>> paradigm_of("snip"), paradigm_of("magnitude_after_training")
        ('sparse training', 'traditional pruning')
    """
    recipe = recipe_of(method)
    return next(name for name, paradigm in PARADIGMS.items() if recipe.belongs_to(paradigm))


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What `run` returns.

    Attributes:
        model: the trained model, its masks in it.
        metrics: {"loss": ..., and the model's own metrics, of the validation data; "sparsity"; "seconds": wall clock}.
        report: densities, FLOPs and bytes per layer, with the history of the last training.
    """

    model: keras.Model
    metrics: dict[str, float]
    report: Report


def run(
    model_fn: Callable[[], keras.Model],
    method: str,
    sparsity: float | None,
    *,
    data: Any,
    validation_data: Any = None,
    epochs: int,
    seed: int | None = None,
    run_dir: str | os.PathLike | None = None,
    score_data: Any = None,
    batch_size: int = 32,
    callbacks: Callable[[str], Any] | None = None,
    options: dict[str, Any] | None = None,
    verbose: Any = "auto",
) -> RunResult:
    """Runs any registered method from end to end: eq. 2, then an evaluation.

    Args:
        model_fn: called without arguments, gives a new compiled model. Keras' generators are seeded before.
        method: a name of `tf_pai.list_methods()`.
        sparsity: fraction of the weights that take part to remove, in [0, 1).
        data: arrays (x, y), a `tf.data.Dataset`, or a function from an epoch to a `tf.data.Dataset`; see
            `tf_pai.training.fit`.
        validation_data: evaluated after each epoch and at the end, as in `model.fit`.
        epochs: of one training; methods that train several times take as many for each.
        seed: of everything random; None draws one, which `run_dir` remembers.
        run_dir: folder for all state. The same call goes on where a killed one was; a finished run is not run again,
            its model and metrics are read.
        score_data: what scores are computed on, as in `prune_at_init`; default: batches of the first epoch.
        batch_size: examples per batch of arrays.
        callbacks: called with the name of a stage ("train", "dense", "finetune1", ...), gives its callbacks.
        options: the method's own, e.g. {"distribution": "erk"} or {"rounds": 3}.
        verbose: as in `tf_pai.training.fit`.

    Raises:
        ValueError: a wrong argument, or a `run_dir` that another call has begun.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> def model_fn():
        ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> data = np.ones((8, 4)), np.ones((8, 1))
        >>> result = tf_pai.run(model_fn, "synflow", 0.5, data=data, validation_data=data, epochs=1, seed=0)
        >>> result.metrics["sparsity"]
        0.5
    """
    info = _check(method, sparsity)
    execute = RUNNERS.find(info.track)
    folder = None if run_dir is None else pathlib.Path(run_dir)
    asked: dict[str, Any] = {
        "method": method,
        "sparsity": None if sparsity is None else float(sparsity),
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
    }
    asked["options"] = {name: repr(value) for name, value in sorted((options or {}).items())}
    seed = begin(folder, asked)
    if folder is not None and (folder / RESULT).exists():
        return _finished(folder)
    began = time.perf_counter()
    job = Job(
        model_fn,
        method,
        sparsity,
        data,
        epochs,
        seed,
        validation_data,
        score_data,
        batch_size,
        callbacks,
        folder,
        options or {},
        verbose,
    )
    model = execute(job)
    metrics = _evaluated(model, validation_data, batch_size)
    metrics |= {"sparsity": sparsity_of(model), "seconds": time.perf_counter() - began}
    result = RunResult(model, metrics, _report(model, metrics))
    if folder is not None:
        _store(folder, result)
    return result


def _check(method: str, sparsity: float | None) -> MethodInfo:
    if not isinstance(method, str):
        raise TypeError(f"run takes the name of a method. Received: {method!r}. See tf_pai.list_methods().")
    is_number = isinstance(sparsity, numbers.Real) and not isinstance(sparsity, bool)
    if sparsity is not None and not (is_number and 0 <= sparsity < 1):
        raise ValueError(f"A sparsity is in [0, 1). Received: sparsity={sparsity!r}.")
    return METHODS.find(method)


def _evaluated(model: keras.Model, data: Any, batch_size: int) -> dict[str, float]:
    if data is None:
        return {}
    if isinstance(data, (tuple, list)):
        logs = model.evaluate(*data, batch_size=batch_size, verbose=0, return_dict=True)
    else:
        logs = model.evaluate(data, verbose=0, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def _report(model: keras.Model, metrics: dict[str, float]) -> Report:
    history = getattr(model, "history", None)
    epochs = {name: list(values) for name, values in history.history.items()} if history is not None else {}
    return dataclasses.replace(report(model), metrics=metrics, history=epochs)


def _store(folder: pathlib.Path, result: RunResult) -> None:
    """Writes model and report, then the metrics, whose presence says that the run is finished."""
    unfinished = folder / f".{os.getpid()}.model.keras"
    result.model.save(unfinished)
    os.replace(unfinished, folder / "model.keras")
    result.report.to_json(folder / "report.json")
    with write_whole(folder / RESULT, "w") as stream:
        json.dump(result.metrics, stream, indent=2)


def _finished(folder: pathlib.Path) -> RunResult:
    model = keras.models.load_model(folder / "model.keras")
    return RunResult(model, read_json(folder / RESULT), Report.from_dict(read_json(folder / "report.json")))
