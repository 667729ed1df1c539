"""A PrunableLayer whose masks are being updated by a method that remembers more than masks and weights."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.variables import AutocastScope
from keras.src.saving.keras_saveable import KerasSaveable

from tf_pai.layers.projection import Projection, zero_pruned
from tf_pai.layers.prunable import PACKAGE, PrunableLayer


@keras.saving.register_keras_serializable(PACKAGE)
class DynamicLayer(PrunableLayer):
    """What a PrunableLayer is between two updates of its masks, where these need more than masks and weights.

    It is saved and restored with the model, so that a run that was killed goes on as if it had not been. `remember`
    and `keep_dense_weights` turn a PrunableLayer into one, `forget` turns it back. Files of weights fit both: of one
    from the middle of a training, a PrunableLayer sets aside what its pruned weights were.

    Args:
        layer: the layer to prune.
        remembered: {name: [shape, dtype]} of what it remembers.
        dense: whether pruned weights keep their values: the layer computes with w * m, m updated from outside.
        exploration: (strength, inverse density) of the L2 penalty of Top-KAST, or None.
        **kwargs: see `PrunableLayer`.
    """

    def __init__(
        self,
        layer: keras.Layer,
        remembered: dict[str, Any] | None = None,
        dense: bool = False,
        exploration: tuple[float, float] | None = None,
        **kwargs: Any,
    ):
        self.__dict__.update(_dynamic_state(self, remembered, dense, exploration))
        super().__init__(layer, **kwargs)

    def _attach(self) -> None:
        if self.attached:
            return
        super()._attach()
        for name, (shape, dtype) in self.remembered.items():
            _add_memory(self, name, np.zeros(shape, dtype))
        if self.dense:
            _let_be(self)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if not self.dense:
            return super()._run(*args, **kwargs)
        with AutocastScope(None):
            values = [(w, self._masked(path, w.value, mask.value)) for path, (w, mask) in self.pairs.items()]
        return self.run_with(values, *args, **kwargs)

    def _masked(self, path: str, w: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """w * mask, whose gradient goes to every weight that learns: all, or those of the backward mask."""
        learns = self.memory.get(f"backward/{path}")
        learns = tf.ones_like(mask) if learns is None else tf.cast(learns.value, mask.dtype)
        strength, inverse_density = self.exploration or (0.0, 0.0)
        penalty = strength * (mask + tf.nn.relu(learns - mask) * inverse_density)
        return _masked(w, mask, learns, penalty)

    def project(self) -> None:
        """Sets pruned weights to zero, except where they are kept in the background."""
        if not self.dense:
            super().project()

    def save_own_variables(self, store: Any) -> None:
        """Writes the masks and what is remembered."""
        super().save_own_variables(store)
        for name, variable in self.memory.items():
            store[name.replace("/", ":")] = variable.numpy()
        if self.dense:
            store[DENSE] = np.array(True)

    def get_config(self) -> dict:
        """Returns PrunableLayer's, and what is remembered."""
        own = {"remembered": self.remembered, "dense": self.dense, "exploration": self.exploration}
        return {**super().get_config(), **own}


DynamicLayer.__name__ = PrunableLayer.__name__  # Keras looks up a layer in a file of weights by its class' name
DENSE = "dense"  # in a file: its pruned weights are not zero


class _AfterWeights(KerasSaveable):
    """Read by Keras after the layer's weights, which it reads after the layer's own variables."""

    def __init__(self, layer: DynamicLayer):
        self._layer = weakref.ref(layer)
        self.dense = False  # in the file

    def _obj_type(self) -> str:
        return "Loss"  # the kinds that Keras knows

    def load_own_variables(self, store: Any) -> None:
        """Takes pruned weights up where the layer is in training, and sets them aside where it is not."""
        layer, dense, self.dense = self._layer(), self.dense, False
        if layer is not None and layer.dense:
            _take_up(layer)
        elif layer is not None and dense:
            set_dense_weights_aside(layer)


def read_memory(layer: PrunableLayer, store: Any) -> None:
    """Reads what is remembered in a file; the layer becomes a DynamicLayer.

    Args:
        layer: one whose weights will be read next.
        store: of its own variables.
    """
    _become_dynamic(layer)
    layer._after_weights.dense = DENSE in store
    for name in store.keys():  # noqa: SIM118, a store of Keras is no dict
        if not name.isdigit() and name != DENSE:
            remember(layer, name.replace(":", "/"), np.asarray(store[name]))


def _dynamic_state(layer: Any, remembered: Any = None, dense: bool = False, exploration: Any = None) -> dict[str, Any]:
    own = {"dense": dense, "exploration": exploration, "_after_weights": _AfterWeights(layer)}
    return {"remembered": dict(remembered or {}), "memory": {}, **own}


@tf.custom_gradient
def _masked(w: tf.Tensor, mask: tf.Tensor, learns: tf.Tensor, penalty: tf.Tensor) -> Any:
    def gradient(g: Any) -> Any:
        dense = tf.convert_to_tensor(g)
        return dense * tf.cast(learns, dense.dtype) + w * tf.cast(penalty, w.dtype), None, None, None

    return zero_pruned(w, mask), gradient


def _become_dynamic(layer: PrunableLayer) -> None:
    if not isinstance(layer, DynamicLayer):
        layer.__dict__.update(_dynamic_state(layer))
        layer.__class__ = DynamicLayer


def _add_memory(layer: DynamicLayer, name: str, value: np.ndarray) -> None:
    layer._tracker.unlock()
    layer.memory[name] = layer.add_weight(
        shape=value.shape,
        dtype=str(value.dtype),
        autocast=False,
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
        name=name.replace("/", "_"),
    )
    layer._lock_state()
    layer._track_trackable(layer.memory[name], name)  # for tf.train.Checkpoint, which looks at attributes only
    layer.memory[name].assign(value)


def remember(layer: PrunableLayer, name: str, value: Any) -> None:
    """Puts an array in the layer's memory, under a new name or in place of what was there.

    Args:
        layer: a PrunableLayer; becomes a DynamicLayer.
        name: what it is called in `layer.memory`.
        value: array; its shape and type are those of the variable.
    """
    _become_dynamic(layer)
    value = np.asarray(value)
    if name in layer.memory:
        layer.memory[name].assign(value)
        return
    layer.remembered[name] = [list(value.shape), str(value.dtype)]
    _add_memory(layer, name, value)


def recall(layer: PrunableLayer, name: str) -> Any:
    """Returns the variable of that name in the layer's memory, or None."""
    return layer.memory.get(name) if isinstance(layer, DynamicLayer) else None


def _remove(layer: DynamicLayer, name: str) -> None:
    variable = layer.memory.pop(name)
    del layer.remembered[name]
    layer._delete_tracking(name)
    layer._tracker.unlock()
    for i, other in reversed(list(enumerate(layer._non_trainable_variables))):
        if other is variable:
            del layer._non_trainable_variables[i]
    layer._lock_state()


def _let_be(layer: DynamicLayer) -> None:
    """Takes the projection off the weights: pruned ones keep their values."""
    for variable, _ in layer.pairs.values():
        if isinstance(variable.constraint, Projection):
            variable.constraint = variable.constraint.user


def keep_dense_weights(layer: PrunableLayer, exploration: tuple[float, float] | None = None) -> None:
    """Lets pruned weights live on in the background, with the values that they had when they were set aside."""
    _become_dynamic(layer)
    layer.dense, layer.exploration = True, exploration
    _let_be(layer)
    _take_up(layer)


def _take_up(layer: DynamicLayer) -> None:
    for path, (variable, mask) in layer.pairs.items():
        aside = layer.memory.get(f"aside/{path}")
        if aside is not None:
            variable.assign(variable.value + aside.value * (1 - mask.value))
            _remove(layer, f"aside/{path}")


def set_dense_weights_aside(layer: DynamicLayer) -> None:
    """Makes pruned weights zero, and remembers their values for training that goes on later."""
    for path, (variable, mask) in layer.pairs.items():
        remember(layer, f"aside/{path}", (variable.value * tf.cast(mask.value == 0, variable.value.dtype)).numpy())
    _project_again(layer)


def _project_again(layer: DynamicLayer) -> None:
    layer.dense, layer.exploration = False, None
    for variable, mask in layer.pairs.values():
        if not isinstance(variable.constraint, Projection):
            variable.constraint = Projection(mask, variable.constraint)
    layer.project()


def forget(layer: PrunableLayer) -> None:
    """Makes the layer a PrunableLayer again: pruned weights zero, nothing else remembered."""
    if not isinstance(layer, DynamicLayer):
        return
    _project_again(layer)
    for name in list(layer.memory):
        _remove(layer, name)
    for name in _dynamic_state(layer):
        del layer.__dict__[name]
    layer.__class__ = PrunableLayer
