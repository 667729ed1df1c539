"""Sparsity structures: *what* is pruned (survey 2.2, topic 1)."""

from __future__ import annotations

import re

from tf_pai.registry import nearest
from tf_pai.structures.base import Structure
from tf_pai.structures.patterns import NM, Block, Filter, Unstructured

__all__ = ["NM", "Block", "Filter", "Structure", "Unstructured", "get"]

_SPELLINGS = ["unstructured", "filter", "2:4", "block:4x1"]


def get(structure: str | Structure | None) -> Structure:
    """Returns the structure of that spelling: "unstructured", "filter", "N:M" or "block:RxC".

    Raises:
        ValueError: no structure is spelt so.

    Example:
        >>> get("2:4"), get("block:4x1")
        (2:4, block:4x1)
    """
    if isinstance(structure, Structure):
        return structure
    if structure in (None, "unstructured"):
        return Unstructured()
    if structure == "filter":
        return Filter()
    if match := re.fullmatch(r"(\d+):(\d+)", str(structure)):
        return NM(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"block:(\d+)x(\d+)", str(structure)):
        return Block(int(match[1]), int(match[2]))
    raise ValueError(
        'A structure is "unstructured", "filter", "N:M" such as "2:4", "block:RxC" such as "block:4x1", or an object '
        f"of tf_pai.structures. Received: {structure!r}.{nearest(str(structure), _SPELLINGS)}"
    )
