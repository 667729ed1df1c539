"""Whether values are, bit for bit, what they were in another process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def digest_of(values: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of the shapes and values of arrays.

    Args:
        values: arrays; of a type that NumPy does not have itself, as bfloat16, they are compared as float32.

    Example:
        >>> digest_of([np.zeros(2)]) == digest_of([np.zeros(2)]), digest_of([np.zeros(2)]) == digest_of([-np.zeros(2)])
        (True, False)
    """
    found = hashlib.sha256()
    for value in values:
        known = value if value.dtype.kind in "biufc" else value.astype("float32")
        found.update(f"{known.dtype}{known.shape}".encode())
        found.update(np.ascontiguousarray(known).data)
    return found.hexdigest()
