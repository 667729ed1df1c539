"""Names for the things a user picks by name, with the nearest valid name for a misspelt one.

A `Registry` maps a name to an entry and to the data that describes it. Entries add themselves where they
are defined, so that a method is complete in one file; tables and command-line choices are read from here.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry")

TRACKS = ("static", "tickets", "dynamic", "selection", "traditional")


def nearest(name: str, valid: list[str]) -> str:
    """Returns " Did you mean 'x'?" for a misspelt name, or "" where nothing is near.

    >>> nearest("grsap", ["snip", "grasp"])
    " Did you mean 'grasp'?"
    """
    spelling = {choice.lower(): choice for choice in valid}
    close = difflib.get_close_matches(str(name).lower(), spelling, n=1, cutoff=0.5)
    return f" Did you mean {spelling[close[0]]!r}?" if close else ""


class Registry(Generic[Entry]):
    """A dictionary of named entries whose look-up explains itself.

    Args:
        kind: what an entry is called in error messages, e.g. "method".

    >>> networks = Registry("network")
    >>> @networks.register("tiny")
    ... def tiny():
    ...     return "a tiny network"
    >>> networks.find("tiny")()
    'a tiny network'
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Returns a decorator that files the decorated object under `name`."""

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(
                    f"Every {self.kind} needs a name of its own. Received: name={name!r}, which is taken. "
                    "Choose another name."
                )
            self._entries[name] = entry
            return entry

        return add

    def find(self, name: str) -> Entry:
        """Returns the entry called `name`.

        Raises:
            ValueError: no entry has that name; the message holds the nearest one and the list.
        """
        if name not in self._entries:
            raise ValueError(
                f"Unknown {self.kind}. Received: {name!r}.{nearest(name, self.names())} "
                f"Valid names: {', '.join(self.names())}."
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """Returns all names, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


@dataclasses.dataclass(frozen=True)
class MethodInfo:
    """What the survey says of a method, and the object that runs it.

    Attributes:
        name: what users type, e.g. "grasp".
        survey_name: its abbreviation in the survey, e.g. "GraSP".
        year: year of publication.
        reference: authors, venue.
        track: one of `TRACKS`.
        table_row: where the survey lists it, e.g. "Table 2, row 5"; "" for methods it does not name.
        k1: step whose weights give the mask (eq. 2): "0" or "K".
        k2: step whose weights are kept (eq. 2): "0" or "K".
        needs_data: whether the mask depends on training data.
        make: called without arguments, gives the object that does the work (its type is the track's).
    """

    name: str
    survey_name: str
    year: int
    reference: str
    track: str
    table_row: str = ""
    k1: str = "0"
    k2: str = "0"
    needs_data: bool = True
    make: Callable[..., Any] = dataclasses.field(default=lambda: None, repr=False, compare=False)


METHODS: Registry[MethodInfo] = Registry("method")


def register_method(name: str, **info: Any) -> Callable[[Any], Any]:
    """Registers the decorated class or function as the method `name`; `info` fills `MethodInfo`."""
    if info["track"] not in TRACKS:
        raise ValueError(f"A method's track is one of {TRACKS}. Received: track={info['track']!r}.")

    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        METHODS.register(name)(MethodInfo(name=name, make=make, **info))
        return make

    return add


def list_methods(track: str | None = None) -> list[MethodInfo]:
    """Returns what is known of every registered method, in alphabetical order.

    Args:
        track: only methods of this track ("static", "tickets", "dynamic", "selection", "traditional").

    Raises:
        ValueError: `track` is not a track.

    Example:
        >>> import tf_pai
        >>> [m.name for m in tf_pai.list_methods("static") if m.name.startswith("syn")]
        ['synflow']
    """
    if track is not None and track not in TRACKS:
        raise ValueError(
            f"A method's track is one of {', '.join(TRACKS)}. Received: track={track!r}.{nearest(track, list(TRACKS))}"
        )
    infos = [METHODS.find(name) for name in METHODS]
    return [info for info in infos if track in (None, info.track)]
