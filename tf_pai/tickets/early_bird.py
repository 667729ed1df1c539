"""EB: early-bird tickets, whole channels that BatchNorm's scales choose early in training."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_pai.layers import participating, weights_of
from tf_pai.layers.graph import batch_norms_after
from tf_pai.registry import register_method
from tf_pai.static.filters import with_companions
from tf_pai.steps import to_steps
from tf_pai.tickets.bench import Bench, batches_seen
from tf_pai.tickets.penalties import penalized
from tf_pai.tickets.rounding import rounded
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket


@register_method(
    "early_bird",
    survey_name="EB",
    year=2020,
    reference="You et al., ICLR 2020",
    track="tickets",
    k1="K",
)
class EarlyBird:
    """Channels with the largest BatchNorm scales, drawn every so often, until the choice no longer changes.

    While the dense network is trained with an L1 penalty on BatchNorm's scales, a mask is drawn of the fraction
    1 - `sparsity` of all channels with the largest |gamma| (one threshold for all layers). When the last `window`
    masks differ from the newest in at most the fraction `distance` of the channels, the ticket is found, and the search
    stops. The ticket goes on from the weights of that moment, with whole channels at zero.

    `sparsity` is a fraction of channels here; that of the weights is another. Options: `every` ("1ep"), steps or epochs
    between masks; `window` (5), `distance` (0.1), `l1` (1e-4); `bits` (None): the search keeps its weights in so
    many bits, with stochastic rounding.

    Reference: You et al. 2020, "Drawing early-bird tickets", algorithm 1, section 3.3; low precision: section 4.2.
    Differs from the paper in: low precision is that of the weights alone, not of activations and gradients.
    """

    options = {"every": "1ep", "window": 5, "distance": 0.1, "l1": 1e-4, "bits": None}
    structure = "filter"

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket.

        Raises:
            ValueError: no BatchNorm follows any layer, or an option with which no mask could be drawn.
        """
        bench, options = search.bench, search.options
        norms = _norms(search)
        every = _checked(options, bench)
        scales = [norm.gamma for norm in norms.values()]
        watch = Watch(scales, search.plan.density, every, options["window"], options["distance"])
        paths = {id(variable): path for path, variable in weights_of(bench.model).items()}
        gammas = [paths[id(scale)] for scale in scales]
        tag = f"early-bird {every} {options} {search.plan.density}"
        with penalized(bench, gammas, options["l1"]), rounded(bench, options["bits"], search.seed):
            bench.train(bench.values(), bench.dense(), "search", callbacks=[watch], tag=tag)
        if not watch.masks:
            raise ValueError(f"A mask is drawn before training ends. Received: every={every}, and fewer steps.")
        masks = {p: _of_filters(bench.dense()[p], kept) for p, kept in zip(norms, watch.masks[-1], strict=True)}
        weights = {path: weight for path, weight in search.plan.weights.items() if path in masks}
        masks = with_companions(bench.model, _of_model(bench.model, weights), masks)
        values = dict(zip(paths.values(), watch.weights, strict=True))
        search.sizes(values)  # none is NaN
        return search.ticket(values, {**bench.dense(), **masks}, 0, watch.history)


def _checked(options: dict[str, Any], bench: Bench) -> int:
    """The steps between two masks."""
    every = to_steps(options["every"], bench.steps, "every")
    last = None if bench.steps is None else bench.steps * bench.routine.epochs
    if every < 1 or (last is not None and every > last):
        raise ValueError(
            f"A mask is drawn every so many steps, of {last or 'all'}. Received: every={options['every']!r}, "
            f"{every} steps. Choose another number."
        )
    for name, kind, least in (
        ("window", numbers.Integral, 2),
        ("distance", numbers.Real, None),
        ("l1", numbers.Real, 0),
    ):
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, kind) or (least is not None and value < least):
            raise ValueError(
                "window is a number of masks, 2 or more; distance is a number, and l1 is one of 0 or more. "
                f"Received: {name}={value!r}."
            )
    return every


def _of_model(model: keras.Model, weights: dict[str, Any]) -> dict[str, Any]:
    return {path: weight for path, weight in participating(model).items() if path in weights}


def _of_filters(mask: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """A mask of a kernel's shape whose last axis, the output channels, is `kept`."""
    return np.broadcast_to(kept, mask.shape).copy()


def _norms(search: Search) -> dict[str, keras.layers.BatchNormalization]:
    """{path of a kernel: the BatchNorm behind it, as wide as its output}."""
    found = {}
    for path, weight in _of_model(search.bench.model, search.plan.weights).items():
        width = weight.shape[-1]
        for norm in batch_norms_after(search.bench.model, weight.owner):
            if weight.output_axis == len(weight.shape) - 1 and norm.scale and norm.gamma.shape == (width,):
                found[path] = norm
    if not found:
        raise ValueError(
            "Early-bird tickets are drawn by BatchNorm's scales. Received: "
            f"{search.bench.model.name!r}, in which no BatchNormalization follows a layer. Use the method 'lth'."
        )
    return found


def channel_masks(gammas: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Returns masks of the channels whose |gamma| lies above the threshold, entry int(sparsity * n) of all, sorted.

    >>> [m.tolist() for m in channel_masks([np.array([3.0, -1.0]), np.array([2.0, 4.0])], 0.25)]
    [[True, False], [False, True]]
    """
    ordered = np.sort(np.abs(np.concatenate(gammas)))
    threshold = ordered[int(len(ordered) * sparsity)]
    return [np.abs(gamma) > threshold for gamma in gammas]


def distance(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Returns the fraction of channels in which two drawings differ.

    >>> distance([np.array([True, False])], [np.array([True, True])])
    0.5
    """
    return float(np.mean(np.concatenate(first) != np.concatenate(second)))


class Watch(keras.callbacks.Callback):
    """Draws a mask every so often, and stops the training when the last ones agree.

    Args:
        gammas: BatchNorm's scales.
        density: fraction of the channels to keep.
        every: steps between two masks.
        window: number of masks that have to agree.
        limit: the distance to the newest up to which they do.
    """

    def __init__(self, gammas: list[keras.Variable], density: float, every: int, window: int, limit: float):
        super().__init__()
        self.gammas, self.density, self.every, self.window, self.limit = gammas, density, every, window, limit
        self.masks: list[list[np.ndarray]] = []
        self.history: list[dict[str, Any]] = []
        self.weights: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Draws a mask if it is time, and stops if it is like those before."""
        step = batches_seen(self.model.optimizer)
        before = self.history[-1]["step"] if self.history else 0
        if step // self.every == before // self.every or self.model.stop_training:  # Keras may call after several steps
            return
        drawn = channel_masks([gamma.numpy() for gamma in self.gammas], 1 - self.density)
        distances = [distance(mask, drawn) for mask in self.masks]
        found = emerges(distances, self.window, self.limit)
        self.masks = [*self.masks, drawn][-self.window :]
        farthest = max(distances) if distances else None
        self.history.append({"level": len(self.history), "step": step, "distance": farthest, "found": found})
        self.weights = [variable.numpy() for variable in weights_of(self.model).values()]
        self.model.stop_training = found

    def get_state(self) -> dict[str, Any]:
        """Returns masks, history and the weights of the last drawing, for a checkpoint."""
        return {"masks": self.masks, "history": self.history, "weights": self.weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        self.masks, self.history, self.weights = state["masks"], state["history"], state["weights"]


def emerges(distances: Sequence[float], window: int, limit: float) -> bool:
    """Tells whether window - 1 earlier masks all lie within `limit` of the newest.

    >>> emerges([0.05, 0.1, 0.02, 0.1], window=5, limit=0.1), emerges([0.0], window=5, limit=0.1)
    (True, False)
    """
    return len(distances) >= window - 1 and max(distances[-(window - 1) :]) <= limit
