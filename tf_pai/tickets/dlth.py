"""DLTH: the dual lottery ticket hypothesis, a random mask whose weights are made fit for it."""

from __future__ import annotations

import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.registry import register_method
from tf_pai.tickets.bench import batches_seen
from tf_pai.tickets.penalties import with_penalties
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket


@register_method(
    "dlth",
    survey_name="DLTH",
    year=2022,
    reference="Bai et al., ICLR 2022",
    track="tickets",
    k1="0",
)
class DLTH:
    """Random masks first; a growing penalty on the weights outside moves what they know to those inside.

    L = L_0 + lambda/2 * sum over pruned w^2; lambda grows by `growth` every `every` steps up to `limit`, in `epochs` of
    training. Then they are removed, and the ticket starts from the weights that are left (random sparse network
    transformation). Options: `every` (5), `limit` (1.0), `growth` (default: reaches the limit at half of the training).

    Reference: Bai et al. 2022, "Dual lottery ticket hypothesis", section 4, equations 5 and 6.
    """

    options = {"growth": None, "every": 5, "limit": 1.0}
    structure = "unstructured"

    def distribution(self, rate: float) -> str:
        """Returns the same ratio in all layers."""
        return "uniform"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket.

        Raises:
            ValueError: an option that is not positive.
        """
        growth, every, limit = (search.options[name] for name in ("growth", "every", "limit"))
        known = all(isinstance(x, numbers.Real) and not isinstance(x, bool) for x in (every, limit, growth or 1))
        if known and growth is None and every and search.bench.steps:
            growth = limit * 2 * every / (search.bench.steps * search.bench.routine.epochs)
        if not known or growth is None or min(growth, every, limit) <= 0 or not isinstance(every, int):
            raise ValueError(
                f"growth, limit and the whole number every are positive; data of unknown length need growth. "
                f"Received: growth={growth!r}, every={every!r}, limit={limit!r}."
            )
        bench = search.bench
        generator = np.random.default_rng(search.seed)
        scores = {path: generator.random(weight.shape) for path, weight in search.plan.weights.items()}
        masks = search.chosen(scores, search.plan.density)
        grow = Grow(growth, every, limit)
        penalties = {path: Outside(masks[path], grow.factor) for path in scores}
        with with_penalties(bench, penalties):
            trained = bench.train(
                bench.values(), bench.dense(), "transformation", callbacks=[grow],
                tag=f"dlth {growth} {every} {limit} {search.seed} {search.plan.density} {search.plan.distribution}",
            )  # fmt: skip
        left = [np.abs(trained.values[path][~masks[path]]).mean() for path in scores if not masks[path].all()]
        history = [{"level": 0, "density": 1.0, "mean outside": float(np.mean(left or [0])), **trained.metrics}]
        return search.ticket(trained.values, masks, 0, history)


class Outside:
    """lambda/2 * the sum of the squares of the weights outside a mask.

    Args:
        mask: True = inside.
        factor: variable that holds lambda.
    """

    def __init__(self, mask: np.ndarray, factor: tf.Variable):
        self.outside, self.factor = (~mask).astype("float32"), factor

    def __call__(self, weight: Any) -> Any:
        """Returns the penalty."""
        return 0.5 * self.factor * keras.ops.sum(keras.ops.square(weight * self.outside))


class Grow(keras.callbacks.Callback):
    """Lets lambda grow with the steps: growth * (step // every), at most `limit`.

    Example:
        >>> grow = Grow(0.5, every=2, limit=1.2)
        >>> [grow.at(step) for step in (0, 1, 2, 4, 9)]
        [0.0, 0.0, 0.5, 1.0, 1.2]
    """

    def __init__(self, growth: float, every: int, limit: float):
        super().__init__()
        self.growth, self.every, self.limit = growth, every, limit
        self.factor = tf.Variable(0.0, trainable=False)

    def at(self, step: int) -> float:
        """Returns lambda at a step."""
        return min(self.limit, self.growth * (step // self.every))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets lambda."""
        self.factor.assign(self.at(batches_seen(self.model.optimizer)))
