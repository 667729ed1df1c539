"""check_ticket: does the winning ticket win?"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from tf_pai.layers.paths import is_graph
from tf_pai.registry import nearest
from tf_pai.sanity.context import Context
from tf_pai.sanity.controls import CHECKS, NEEDS
from tf_pai.sanity.verdict import Verdict
from tf_pai.tickets.bench import Bench, Callbacks, Routine
from tf_pai.tickets.ticket import Ticket, ticket_of

OPTIONS: dict[str, Any] = {"longer": 2.0, "learning_rates": (), "points": 11}


def check_ticket(
    ticket: Ticket | keras.Model,
    checks: Sequence[str] = ("reinit", "shuffle"),
    *,
    data: Any,
    validation_data: Any,
    epochs: int,
    seeds: int = 5,
    metric: str = "accuracy",
    margin: float = 0.003,
    run_dir: str | os.PathLike | None = None,
    seed: int = 0,
    batch_size: int = 32,
    callbacks: Callbacks | None = None,
    options: dict[str, Any] | None = None,
    verbose: Any = "auto",
) -> Verdict:
    """Trains the ticket and its controls, and says of each control whether it is worse, with the statistics.

    A ticket "wins" against a control where the control's mean is lower at the 5 % level (Welch's t test, one-sided):
    a control that is as good shows that what it destroys was not needed.

    Args:
        ticket: from `find_ticket`, or a model that was pruned in any other way and not trained, as `load_ticket` gives
            it; `tf_pai.tickets.ticket_of` adds to such a model what it was before pruning.
        checks: "reinit", "shuffle", "random_ticket", "invert", "corrupted_data", "small_dense", "trained_longer",
            "correlation", "winning", "instability"; what each does is said where it is defined in `tf_pai.sanity`.
        data: training data, as in `find_ticket`.
        validation_data: what accuracies are measured on.
        epochs: of each training.
        seeds: number of trainings of the ticket and of each control; they differ in the order of the data (arrays, or
            a function of the epoch), the new weights, and the order of the masks.
        metric: a metric that the model is compiled with, higher = better.
        margin: a control counts as shown to be not worse where the one-sided 95 % bound of its loss is below this.
        run_dir: folder for all state, best the one of `find_ticket`: trainings made there before are read.
        seed: of the first of the seeds; that of `find_ticket` shares its work.
        batch_size: examples per batch of arrays.
        callbacks: called with the name of a training, gives its callbacks.
        options: of single checks: `longer` (2.0), how many times the epochs "trained_longer" has; `learning_rates`,
            those that "correlation" and "winning" look at, default the compiled one; `points` (11) of "instability".
        verbose: as in `find_ticket`.

    Raises:
        ValueError: an unknown check, one that cannot be made of this ticket, fewer than two seeds, a metric that the
            model does not have; nothing is trained then.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        >>> data = np.eye(4, dtype="float32"), np.arange(4) % 2
        >>> ticket = tf_pai.find_ticket(model, "lth", 0.5, data=data, epochs=1, rounds=1, seed=0)
        >>> verdict = tf_pai.check_ticket(ticket, data=data, validation_data=data, epochs=1, seeds=2)
        >>> list(verdict.findings)
        ['reinit', 'shuffle']
    """
    checks = [checks] if isinstance(checks, str) else list(checks)
    for check in checks:
        CHECKS.find(check)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise ValueError(f"A verdict rests on two seeds or more. Received: seeds={seeds!r}.")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is a number of 1 or more. Received: epochs={epochs!r}.")
    if validation_data is None:
        raise ValueError("Verdicts compare accuracies on validation data. Received: validation_data=None. Pass some.")
    ticket = ticket if isinstance(ticket, Ticket) else ticket_of(ticket)
    _check_metric(ticket.model, metric)
    routine = Routine(data, epochs, validation_data, batch_size, seed, callbacks, verbose)
    masks, chosen = ticket.masks, _options(options or {})
    bench = Bench(ticket.model, routine, list(masks), None if run_dir is None else pathlib.Path(run_dir) / "trainings")
    context = Context(ticket, masks, bench, seeds, metric, margin, chosen)
    try:
        for check in [name for name in checks if name in NEEDS]:
            NEEDS[check](context)
        return Verdict({check: CHECKS.find(check)(context) for check in checks})
    finally:
        if not is_graph(ticket.model):  # it was trained itself, and is the ticket again
            bench.reset(ticket.initial_weights, masks, ticket.step, seed)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if name not in OPTIONS:
            raise ValueError(
                f"Unknown option of a check. Received: {name}={value!r}.{nearest(name, list(OPTIONS))} "
                f"Valid options: {', '.join(OPTIONS)}."
            )
    options = {**OPTIONS, **given}
    for name, valid, rule in (
        ("longer", lambda value: value > 0, "a number above 0"),
        ("points", lambda value: value == int(value) >= 3, "a whole number of 3 or more"),
        ("learning_rates", lambda value: all(rate > 0 for rate in value), "a tuple of numbers above 0"),
    ):
        try:
            fits = valid(options[name])
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ValueError(f"The option {name} of a check is {rule}. Received: {name}={options[name]!r}.")
    return options


def _check_metric(model: keras.Model, metric: str) -> None:
    if not model.compiled:
        raise ValueError(f"A ticket's model is compiled. Received: {model.name!r}, not compiled. Call model.compile.")
    config = model._compile_config.config
    metrics = keras.tree.flatten([config.get("metrics") or [], config.get("weighted_metrics") or []])
    names = [m if isinstance(m, str) else getattr(m, "name", getattr(m, "__name__", "")) for m in metrics if m]
    outputs = list(getattr(model, "output_names", []))
    known = [f"{output}_{name}" for output in outputs for name in names] if len(outputs) > 1 else names
    of_any = len(outputs) != 1 and metric.endswith(tuple(f"_{name}" for name in names))
    if metric not in known and not of_any:
        raise ValueError(
            f"Verdicts compare a metric of the model. Received: metric={metric!r}.{nearest(metric, known)} "
            f"The model has: {', '.join(known) or 'none'}. Compile it with metrics=['accuracy']."
        )
