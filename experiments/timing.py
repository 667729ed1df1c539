"""Times two or more things beside each other in one process, so that all see the same machine."""

from __future__ import annotations

import pathlib
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

Times = dict[str, list[float]]


def alternate(actions: dict[str, Callable[[], object]], rounds: int) -> tuple[Times, Times]:
    """Returns the seconds of each round, of the clock on the wall and of the processors: {name: values}, twice.

    The order turns from round to round, and a first round, which traces, is not counted.

    Args:
        actions: what is timed, by name.
        rounds: how often each is.
    """
    wall: Times = {name: [] for name in actions}
    cpu: Times = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name in actions if number % 2 else reversed(actions):
            began = time.perf_counter(), time.process_time()
            actions[name]()
            if number:
                wall[name].append(time.perf_counter() - began[0])
                cpu[name].append(time.process_time() - began[1])
    return wall, cpu


def median_ratio(times: Times, one: str, other: str) -> float:
    """Returns the median over the rounds of one's time divided by the other's.

    >>> median_ratio({"a": [2, 4, 9], "b": [1, 2, 3]}, "a", "b")
    2.0
    """
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the median, and a 95 % interval of it: of medians of 2000 samples drawn again.

    >>> median_interval([0.5, 0.5, 0.5])
    (0.5, 0.5, 0.5)
    """
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return statistics.median(values), float(low), float(high)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Returns the median, and the smallest and largest value.

    >>> spread([1.0, 1.25, 1.5])
    '1.250 [1.000, 1.500]'
    """
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def batches(shape: tuple[int, ...], batch_size: int, steps: int) -> tf.data.Dataset:
    """Returns `steps` batches of random images, the same one each time: reading data is not what is measured."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((batch_size, *shape)).astype("float32")
    y = generator.integers(0, 10, batch_size)
    return tf.data.Dataset.from_tensors((x, y)).repeat(steps).apply(tf.data.experimental.assert_cardinality(steps))


def peak_megabytes() -> float:
    """Returns the most memory that this process has held so far."""
    status = pathlib.Path("/proc/self/status")
    if status.exists() and "VmHWM:" in (text := status.read_text()):
        return int(text.split("VmHWM:")[1].split()[0]) / 1024  # of this program; `ru_maxrss` is its parent's at first
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
