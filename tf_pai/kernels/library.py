"""The loaded kernels, or the reason why there are none."""

from __future__ import annotations

import functools
import threading
import warnings
from types import ModuleType

import tensorflow as tf

from tf_pai.kernels import build

_lock = threading.Lock()
_loaded: ModuleType | None = None
_reason: str | None = None  # why the kernels cannot be loaded; None: not tried, or loaded


def available() -> bool:
    """Returns whether the native kernels work here; builds them on the first call (about 15 s).

    Where they cannot be built or loaded, the first call warns, once, and callers compute with masks instead.

    Example:
        >>> available() or bool(reason())
        True
    """
    global _loaded, _reason
    with _lock:
        if _loaded is None and _reason is None:
            try:
                _loaded = _load()
            except (build.BuildError, tf.errors.OpError, OSError) as error:
                _reason = str(error)
                warnings.warn(
                    f"Supermasks are found more slowly, and sparse compute falls back to masked dense compute: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return _loaded is not None


def built() -> bool:
    """Returns whether the native kernels work here and have been built before; builds nothing.

    Example:
        >>> built() <= available()
        True
    """
    return (_loaded is not None or _in_cache()) and available()


@functools.cache
def _in_cache() -> bool:
    """Looks once per process: a library that comes later is loaded by those who build it."""
    return build.find(build.cache_folder(), build.find_compiler()) is not None


def reason() -> str | None:
    """Returns why the kernels are not available, or None."""
    return _reason


def library() -> ModuleType:
    """Returns the loaded op library.

    Raises:
        RuntimeError: the kernels are not available; says why.
    """
    if not available():
        raise RuntimeError(f"The native sparse kernels are not available: {_reason}. Compute with masks instead.")
    assert _loaded is not None
    return _loaded


def _load() -> ModuleType:
    """Builds the library if need be, loads it and registers the gradients of its ops."""
    loaded = tf.load_op_library(str(build.build()))
    from tf_pai.kernels import gradients  # noqa: F401, the ops have to be there first

    return loaded
