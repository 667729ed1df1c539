"""The end of a training whose best weights another callback puts back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras.src.callbacks.callback_list import CallbackList


class _Last(keras.callbacks.Callback):
    """Comes last in a list that is ending, once."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], end: Callable[[], None]):
        super().__init__()
        self.callbacks, self.end = callbacks, end

    def on_train_end(self, logs: Any = None) -> None:
        self.callbacks.remove(self)
        self.end()


def wait_for_restoring(callback: keras.callbacks.Callback, end: Callable[[], None]) -> bool:
    """Puts off the end of a callback where one behind it restores the best weights, which are those of the training.

    Args:
        callback: one whose `on_train_end` is running.
        end: called after those of all others.

    Returns:
        Whether `end` will be called later.
    """
    callbacks = _ending(callback)
    behind = callbacks[callbacks.index(callback) + 1 :] if callbacks else []
    if not any(getattr(other, "restore_best_weights", False) for other in behind):
        return False
    callbacks.append(_Last(callbacks, end))  # a loop over a list comes to what is put behind its end
    return True


def _ending(callback: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
    """The list of callbacks with this one whose `on_train_end` is running, by the call stack; else []."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is CallbackList.on_train_end.__code__ and callback in frame.f_locals["self"].callbacks:
            return frame.f_locals["self"].callbacks
        frame = frame.f_back
    return []
