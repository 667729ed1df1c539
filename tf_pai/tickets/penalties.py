"""Penalties that a search adds to some weights, and takes away again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from tf_pai.layers import weights_of
from tf_pai.tickets.bench import Bench


class Both:
    """The sum of two penalties on one weight, of which the first may be None."""

    def __init__(self, first: Callable[[Any], Any] | None, second: Callable[[Any], Any]):
        self.first, self.second = first, second

    def __call__(self, weight: Any) -> Any:
        """Returns the penalty."""
        penalty = self.second(weight)
        return penalty if self.first is None else self.first(weight) + penalty


@contextlib.contextmanager
def with_penalties(bench: Bench, penalties: Mapping[str, Callable[[Any], Any]]) -> Iterator[None]:
    """Adds penalties to weights of the bench's model inside the block.

    Args:
        bench: the bench; its training step is traced anew on the way in and out.
        penalties: {path: function from a weight to a scalar}.
    """
    variables = weights_of(bench.model)
    before = {path: variables[path].regularizer for path in penalties}
    for path, penalty in penalties.items():
        variables[path].regularizer = Both(before[path], penalty)
    bench.compile()
    try:
        yield
    finally:
        for path, regularizer in before.items():
            variables[path].regularizer = regularizer
        bench.compile()


def penalized(bench: Bench, paths: Sequence[str], l1: float) -> Any:
    """Returns `with_penalties` with l1 * sum |w| on the weights at `paths`."""
    return with_penalties(bench, dict.fromkeys(paths, lambda weight: l1 * keras.ops.sum(keras.ops.abs(weight))))
