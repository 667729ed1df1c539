"""Callbacks for which many fits of one epoch each are one fit, and whose states go to disk."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

# What the callbacks of Keras that decide over the run remember from epoch to epoch.
_REMEMBERED: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


class OneRun(keras.callbacks.CallbackList):
    """A list that begins once and ends once, however often the model is fitted in between."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.inside, self.last_logs = False, None
        super().__init__(*args, **kwargs)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins, unless the run has begun."""
        if not self.inside:
            super().on_train_begin(logs)
            self.inside = True

    def on_train_end(self, logs: Any = None) -> None:
        """Keeps the logs for the end of the run."""
        self.last_logs = logs

    def finish(self) -> None:
        """Ends the run."""
        if self.inside:
            self.inside = False
            super().on_train_end(self.last_logs)


def get_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns what a callback remembers: its `get_state()`, else its `variables`, else what Keras' own ones hold.

    Values are numbers, text, None, arrays, or lists of these. A callback that offers none of these has no state.
    """
    if hasattr(callback, "get_state"):
        return dict(callback.get_state())
    if hasattr(callback, "variables"):
        return {"variables": [np.asarray(variable) for variable in callback.variables]}
    return {name: getattr(callback, name) for name in _remembered(callback) if hasattr(callback, name)}


def set_state(callback: keras.callbacks.Callback, state: dict[str, Any]) -> None:
    """Gives a callback back what `get_state` returned."""
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif hasattr(callback, "variables"):
        for variable, value in zip(callback.variables, state["variables"], strict=True):
            variable.assign(value)
    else:
        for name, value in state.items():
            setattr(callback, name, value)


def _remembered(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return next((names for kind, names in _REMEMBERED.items() if isinstance(callback, kind)), ())
