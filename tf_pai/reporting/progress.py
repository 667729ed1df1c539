"""A progress bar with the time left, for loops that take more than a moment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def progress(items: Sequence[Item], title: str, verbose: Any = "auto") -> Iterator[Item]:
    """Yields the items behind a progress bar.

    Args:
        items: what is looped over.
        title: what is counted.
        verbose: 0 for no bar, 1 for a bar, "auto" for a bar in a terminal when there are several items.
    """
    if verbose == 0 or len(items) < 2 or (verbose == "auto" and not sys.stderr.isatty()):
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=title, console=Console(stderr=True), transient=True)
