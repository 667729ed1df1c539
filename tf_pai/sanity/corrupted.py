"""Corrupted data: a ticket that is found on labels without meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.sanity.context import Context
from tf_pai.sanity.controls import CHECKS, NEEDS
from tf_pai.sanity.verdict import Finding, compared
from tf_pai.tickets.ticket import Ticket
from tf_pai.training import batches_of


@CHECKS.register("corrupted_data")
def corrupted_data(context: Context) -> Finding:
    """The ticket that the same search finds on shuffled labels, trained on the true ones.

    Where it is as good, the search took nothing from the labels.

    Reference: Su et al. 2020, "Sanity-checking pruning methods: random tickets can win the jackpot", section 3.2.

    Raises:
        ValueError: how the ticket was found is not known.
    """
    find, controls = _finder(context), []
    for seed in range(context.seeds):
        ticket = find(corrupted(context.bench.routine.data, seed))
        controls.append(context.accuracy(ticket.initial_weights, ticket.masks, "found on corrupted data", seed))
    return compared("corrupted_data", "tickets of shuffled labels", context.found, controls, context.margin)


def _finder(context: Context) -> Callable[[Any], Ticket]:
    if context.ticket.find is None:
        raise ValueError(
            "A ticket is found again on corrupted data. Received: one that find_ticket did not return, or of a "
            "subclassed model. Leave the check 'corrupted_data' out."
        )
    return context.ticket.find


NEEDS["corrupted_data"] = _finder


def corrupted(data: Any, seed: Any) -> Any:
    """Returns data whose labels have another order: arrays as a whole, all else within each batch.

    Example:
        >>> x, y = corrupted((np.arange(4), np.arange(4)), seed=0)
        >>> x.tolist(), sorted(y.tolist())
        ([0, 1, 2, 3], [0, 1, 2, 3])
    """
    if isinstance(data, (tuple, list)):
        order = np.random.default_rng(seed).permutation(len(keras.tree.flatten(data[1])[0]))
        return (data[0], keras.tree.map_structure(lambda y: np.asarray(y)[order], data[1]), *data[2:])
    batches = batches_of(data)
    return lambda epoch: _of_batches(batches(epoch), seed, epoch)


def _of_batches(batches: Any, seed: int, epoch: int) -> Any:
    if isinstance(batches, keras.utils.PyDataset):
        return _Corrupted(batches, seed)

    def shuffle(place: tf.Tensor, batch: Any) -> Any:
        x, y, *rest = batch
        seeds = tf.stack([tf.cast(seed, tf.int64), place])
        return (x, tf.nest.map_structure(lambda y: tf.random.experimental.stateless_shuffle(y, seeds), y), *rest)

    return batches.enumerate(start=epoch * 1_000_000).map(shuffle)


class _Corrupted(keras.utils.PyDataset):
    """A PyDataset whose labels have another order within each batch."""

    def __init__(self, data: keras.utils.PyDataset, seed: int):
        super().__init__()
        self.data, self.seed = data, seed

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return corrupted(self.data[index], [self.seed, index])
