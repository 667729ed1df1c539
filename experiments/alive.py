"""How much memory the tensors of a program take at once, by TensorFlow's own log of what it allocates.

The memory of the process is more: TensorFlow keeps what tensors no longer need, in pieces that do not fit each other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator

PHASE = "tensors alive from here on: "
_LOG = {"TF_CPP_VMODULE": "log_memory=2", "TF_CPP_MIN_LOG_LEVEL": "0"}
_ALLOCATION = re.compile(r"requested_bytes: (\d+) .*?allocation_id: (\d+)")
_END = re.compile(r"MemoryLogTensorDeallocation \{.*?allocation_id: (\d+)")


def phase(name: str) -> None:
    """Says, in a program that `peaks_of` runs, that a phase of it begins."""
    print(PHASE + name, file=sys.stderr, flush=True)


def peaks_of(code: str, *arguments: str) -> dict[str, float]:
    """Returns {phase: megabytes of the tensors alive at its peak} of a Python program, a phase that returns included.

    Args:
        code: the program, which calls `phase`.
        *arguments: its arguments.

    Raises:
        CalledProcessError: it failed.
    """
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, **_LOG}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as program:
        assert program.stderr is not None
        peaks = peaks_in(program.stderr)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return peaks


def peaks_in(lines: Iterable[str]) -> dict[str, float]:
    """Returns {phase: megabytes of the tensors alive at its peak} of such a program's log.

    Example:
        >>> begins = "MemoryLogTensorAllocation { requested_bytes: 2097152 x allocation_id: %d"
        >>> ends = "MemoryLogTensorDeallocation { allocation_id: %d"
        >>> peaks_in([begins % 1, begins % 2, ends % 1, PHASE + "a", begins % 3])
        {'': 4.0, 'a': 4.0}
    """
    peaks: dict[str, float] = {"": 0.0}
    now = ""
    for name, total in _totals(lines):
        now = now if name is None else name
        peaks[now] = max(peaks.get(now, 0.0), total / 2**20)
    return peaks


def _totals(lines: Iterable[str]) -> Iterator[tuple[str | None, int]]:
    """Yields (the phase that begins or None, bytes alive), line by line."""
    alive: dict[str, int] = {}
    total = 0
    for line in lines:
        if PHASE in line:
            yield line.split(PHASE)[1].strip(), total
        elif ended := _END.search(line):
            total -= alive.pop(ended[1], 0)
        elif (begun := _ALLOCATION.search(line)) and begun[2] not in alive:  # outputs are told again
            alive[begun[2]] = int(begun[1])
            total += alive[begun[2]]
            yield None, total
