"""How a random walk over the units of a network gets through one layer, in either direction.

A unit is a channel: an index along the last axis of a tensor. Walkers are moved many at a time, as arrays of units.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import keras
import numpy as np

Units = np.ndarray
Visits = list[tuple[keras.Variable, np.ndarray]]  # a variable, and for each walker the flat index that it went through


class Step(abc.ABC):
    """A layer with one or more inputs (slots) and one output."""

    @abc.abstractmethod
    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns (units of the output, visits) for walkers at `units` of the inputs `slots`."""

    @abc.abstractmethod
    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns (slots, units of the inputs, visits) for walkers at `units` of the output."""


class Same(Step):
    """Units go through as they are: activations, normalisations, pooling, padding, and merges such as Add.

    Args:
        slots: number of inputs; going back, one is chosen at random.
    """

    def __init__(self, slots: int = 1):
        self.slots = slots

    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns the units."""
        return units, []

    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns a random slot and the units."""
        return generator.integers(self.slots, size=len(units)), units, []


class Concatenated(Step):
    """Units of several inputs side by side.

    Args:
        sizes: number of units of each input.
    """

    def __init__(self, sizes: list[int]):
        self.ends = np.cumsum(sizes)
        self.starts = self.ends - sizes

    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns the units behind those of the inputs before."""
        return self.starts[slots] + units, []

    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns the input that holds each unit, and its place there."""
        slots = np.searchsorted(self.ends, units, side="right")
        return slots, units - self.starts[slots], []


class Flattened(Step):
    """Positions times channels as one axis; going forward, a channel's position is chosen at random.

    Args:
        positions: number of positions.
        channels: number of channels.
    """

    def __init__(self, positions: int, channels: int):
        self.positions, self.channels = positions, channels

    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns one of the flat places of each channel."""
        return generator.integers(self.positions, size=len(units)) * self.channels + units, []

    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns the channels of flat places."""
        return np.zeros_like(units), units % self.channels, []


class _Choices:
    """Draws an index along all other axes of |w| given those along `axes`, with p ~ |w|; uniformly where all are 0."""

    def __init__(self, magnitude: np.ndarray, axes: tuple[int, ...]):
        self.axes = axes
        self.others = tuple(axis for axis in range(magnitude.ndim) if axis not in axes)
        self.shape = magnitude.shape
        rows = math.prod(self.shape[axis] for axis in axes)
        table = np.transpose(magnitude, axes + self.others).reshape(rows, -1).astype("float64")
        table[table.sum(axis=1) == 0] = 1
        self.width = table.shape[1]
        self.cumulative = np.cumsum(table)  # one ladder over all rows: a row is a stretch of it
        self.ends = self.cumulative[self.width - 1 :: self.width]
        self.starts = np.concatenate([[0.0], self.ends[:-1]])

    def draw(self, rows: Units, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Returns the full index, an array per axis, of the weight drawn in each row."""
        heights = self.starts[rows] + generator.random(len(rows)) * (self.ends[rows] - self.starts[rows])
        places = np.searchsorted(self.cumulative, heights, side="right") - rows * self.width
        places = np.clip(places, 0, self.width - 1)
        index: list[Any] = [None] * len(self.shape)
        given = np.unravel_index(rows, [self.shape[axis] for axis in self.axes])
        chosen = np.unravel_index(places, [self.shape[axis] for axis in self.others])
        for axis, values in zip(self.axes + self.others, (*given, *chosen), strict=True):
            index[axis] = values
        return tuple(index)


class Kernel(Step):
    """A weight between input and output units, gone through with p ~ |w|, kernel positions included.

    Args:
        variable: the weight.
        values: its values, those of a pruned network.
        inputs: the axes that together are the input unit.
        outputs: the axes that together are the output unit.
    """

    def __init__(self, variable: keras.Variable, values: np.ndarray, inputs: tuple[int, ...], outputs: tuple[int, ...]):
        self.variable, self.shape = variable, values.shape
        self.inputs = tuple(axis % values.ndim for axis in inputs)
        self.outputs = tuple(axis % values.ndim for axis in outputs)
        self.from_inputs = _Choices(np.abs(values), self.inputs)
        self.from_outputs = _Choices(np.abs(values), self.outputs)

    def _units(self, index: tuple[np.ndarray, ...], axes: tuple[int, ...]) -> Units:
        return np.ravel_multi_index([index[axis] for axis in axes], [self.shape[axis] for axis in axes])

    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns the output units, and the weights gone through."""
        index = self.from_inputs.draw(units, generator)
        return self._units(index, self.outputs), [(self.variable, np.ravel_multi_index(index, self.shape))]

    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns the input units, and the weights gone through."""
        index = self.from_outputs.draw(units, generator)
        visits = [(self.variable, np.ravel_multi_index(index, self.shape))]
        return np.zeros_like(units), self._units(index, self.inputs), visits


class Chain(Step):
    """One step after another.

    Args:
        steps: in forward order.
    """

    def __init__(self, *steps: Step):
        self.steps = steps

    def forward(self, slots: Units, units: Units, generator: np.random.Generator) -> tuple[Units, Visits]:
        """Returns the units after the last step, and all visits."""
        visits: Visits = []
        for step in self.steps:
            units, more = step.forward(slots, units, generator)
            visits += more
        return units, visits

    def backward(self, units: Units, generator: np.random.Generator) -> tuple[Units, Units, Visits]:
        """Returns the units before the first step, and all visits."""
        visits: Visits = []
        slots = np.zeros_like(units)
        for step in reversed(self.steps):
            slots, units, more = step.backward(units, generator)
            visits += more
        return slots, units, visits
