"""find_ticket: masks from trained weights."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import numbers
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_pai.criteria import Magnitude
from tf_pai.layers import weights_of
from tf_pai.layers.paths import is_graph
from tf_pai.masks import get_masks
from tf_pai.registry import METHODS, nearest
from tf_pai.static.checks import check_model, check_randomness
from tf_pai.static.filters import with_companions
from tf_pai.static.method import StaticMethod
from tf_pai.static.plan import Plan, make_plan
from tf_pai.structures import Filter
from tf_pai.tickets.bench import Bench, Callbacks, Routine
from tf_pai.tickets.moving import prunable_head
from tf_pai.tickets.search import Search
from tf_pai.tickets.start import remembered_start
from tf_pai.tickets.ticket import Ticket
from tf_pai.training.folders import begin

CALL = "ticket.json"


def find_ticket(
    model: keras.Model,
    method: str = "lth",
    sparsity: float | None = None,
    *,
    data: Any,
    epochs: int,
    rounds: int | None = None,
    rate: float = 0.2,
    rewind_to: int | str | None = None,
    validation_data: Any = None,
    distribution: Any = None,
    structure: Any = None,
    include: Any = None,
    exclude: Any = None,
    run_dir: str | os.PathLike | None = None,
    seed: int | None = None,
    batch_size: int = 32,
    callbacks: Callbacks | None = None,
    options: dict[str, Any] | None = None,
    verbose: Any = "auto",
) -> Ticket:
    """Finds a ticket: masks from trained weights, laid over the weights of step 0, or of `rewind_to` (survey 3.2).

    With a `run_dir`, all state is on disk after each epoch: the same call goes on where a killed one was. With
    `tf.config.experimental.enable_op_determinism()` it then ends with the same ticket, bit for bit. Trainings that
    were made before in that folder, by another branch or a check, are read and not repeated.

    Args:
        model: a built and compiled model, at its initialization. Sequential and functional models are copied.
        method: a name of `tf_pai.list_methods("tickets")`.
        sparsity: fraction of the weights that take part to remove, in [0, 1); default 0.9.
        data: training data: arrays (x, y), a `tf.data.Dataset`, or a function from an epoch to one, as in
            `tf_pai.training.fit`.
        epochs: of each training.
        rounds: number of prunings, over which the density falls exponentially; 1 is one-shot. Default: as many as
            `rate` needs.
        rate: fraction of the weights left that one round removes.
        rewind_to: step ("500it", 500) or epoch ("2ep") whose weights the ticket gets, with LTH, LTH+, OneTicket and
            E-LTH; default: the method's own, "0it" for all but LTH+.
        validation_data: evaluated after each epoch, for `history`.
        distribution: as in `prune_at_init`; default: the method's own, for LTH `tf_pai.distributions.LayerRates(rate)`.
        structure: as in `prune_at_init`.
        include: pattern or patterns of paths of weights to prune; default: all.
        exclude: pattern or patterns of those to leave dense.
        run_dir: folder for all state.
        seed: of everything random; None draws one, which `run_dir` remembers.
        batch_size: examples per batch of arrays.
        callbacks: called with the name of a training ("level 3"), gives its Keras callbacks.
        options: the method's own; see its class in `tf_pai.tickets`.
        verbose: 0 for silence, "auto" for a bar over the levels in a terminal, 1 for Keras' bars too.

    Returns:
        The ticket: `model` (masks, weights of the start, not trained), `masks`, `history` (metrics of each level).

    Raises:
        ValueError: a wrong argument, a folder that another call has begun, a damaged file; nothing is changed then.
            A training that diverges.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> data = np.ones((8, 4)), np.ones((8, 1))
        >>> ticket = tf_pai.find_ticket(model, "lth", 0.75, data=data, epochs=1, rounds=1, seed=0)
        >>> history = ticket.model.fit(*data, verbose=0)
        >>> tf_pai.sparsity(ticket.model)
        0.75
    """
    found = _method(method)
    _check(model, epochs, rounds, rate, seed)
    if rewind_to not in (None, 0, "0it", "0ep") and not getattr(found, "rewinds", False):
        raise ValueError(
            f"The method {method!r} says itself which weights its ticket gets. Received: rewind_to={rewind_to!r}. "
            "Leave it out, or use 'lth_plus'."
        )
    chosen = found.distribution(rate) if distribution is None else distribution
    recipe = StaticMethod(Magnitude(), distribution=chosen, structure=found.structure)
    if getattr(found, "dense_head", False):
        exclude = [*([exclude] if isinstance(exclude, str) else exclude or []), *prunable_head(model)]
    plan = make_plan(model, recipe, sparsity, None, structure, None, 0, include, exclude)
    options = _options(method, found.options, options or {})
    folder = None if run_dir is None else pathlib.Path(run_dir)
    asked = {"method": method, "sparsity": 1 - plan.density, "epochs": epochs, "rounds": rounds, "rate": rate}
    asked |= {"rewind_to": rewind_to, "distribution": repr(plan.distribution), "structure": repr(plan.structure)}
    asked |= {"weights": _shapes(model), "batch_size": batch_size, "seed": seed}
    asked |= {f"option {name}": repr(value) for name, value in options.items() if _is_plain(value)}
    with _unclaimed_where_refused(folder):
        seed = begin(folder, asked, CALL)
        routine = Routine(data, epochs, validation_data, batch_size, seed, callbacks, verbose)
        bench = Bench(model, routine, _masked(model, plan), None if folder is None else folder / "trainings")
        remembered_start(bench, folder)
        search = Search(method, bench, plan, rounds, rate, rewind_to, options, folder, seed, verbose)
        ticket = found.find(search)
    if not is_graph(model):  # wrapped in place: it is no longer what it was
        return ticket
    common = {"epochs": epochs, "rounds": rounds, "rate": rate, "rewind_to": rewind_to, "distribution": distribution}
    common |= {"validation_data": validation_data, "structure": structure, "include": include, "exclude": exclude}
    common |= {"run_dir": run_dir, "seed": asked["seed"] if folder else seed, "batch_size": batch_size}
    common |= {"callbacks": callbacks, "options": options, "verbose": verbose}
    return dataclasses.replace(ticket, find=lambda data: find_ticket(model, method, sparsity, data=data, **common))


@contextlib.contextmanager
def _unclaimed_where_refused(folder: pathlib.Path | None) -> Iterator[None]:
    """A call that is refused before it has trained anything leaves a new folder to the next one."""
    claimed = folder is None or (folder / CALL).exists()
    try:
        yield
    except (ValueError, TypeError):
        if folder is not None and not claimed and not (folder / "trainings").exists():
            for name in (CALL, "start.npz", "source.npz"):
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _masked(model: keras.Model, plan: Plan) -> list[str]:
    """The paths that get masks: those pruned, and vectors that follow a pruned filter."""
    masks = {path: np.ones(weight.shape, bool) for path, weight in plan.weights.items()}
    return list(with_companions(model, plan.weights, masks) if isinstance(plan.structure, Filter) else masks)


def _method(name: str) -> Any:
    tickets = [known for known in METHODS if METHODS.find(known).track == "tickets"]
    if not isinstance(name, str) or name not in tickets:
        raise ValueError(
            f"Unknown ticket method. Received: {name!r}.{nearest(name, tickets)} Valid names: {', '.join(tickets)}."
        )
    return METHODS.find(name).make()


def _check(model: keras.Model, epochs: int, rounds: int | None, rate: float, seed: int | None) -> None:
    check_model(model)
    check_randomness(seed, None)
    if not model.compiled:
        raise ValueError(
            f"A ticket is found by training. Received: {model.name!r}, not compiled. Call model.compile first."
        )
    pruned = [path for path, mask in get_masks(model).items() if not mask.all()]
    if pruned:
        raise ValueError(
            f"A ticket is found in a dense network. Received: {model.name!r}, of which {pruned[0]!r} is pruned. Start "
            "from the dense model."
        )
    for name, value in (("epochs", epochs), ("rounds", 1 if rounds is None else rounds)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"{name} is a number of 1 or more. Received: {name}={value!r}.")
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 < rate < 1:
        raise ValueError(f"rate is the fraction that a round removes, in (0, 1). Received: rate={rate!r}.")


def _options(method: str, valid: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if name not in valid:
            raise ValueError(
                f"Unknown option of {method!r}. Received: {name}={value!r}.{nearest(name, list(valid))} "
                f"Valid options: {', '.join(valid) or 'none'}."
            )
    return {**valid, **given}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, numbers.Real))


def _shapes(model: keras.Model) -> str:
    shapes = [tuple(variable.shape) for variable in weights_of(model).values()]
    return hashlib.blake2s(np.array(repr(shapes)).tobytes(), digest_size=8).hexdigest()
