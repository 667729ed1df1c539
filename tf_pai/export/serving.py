"""A Keras model as a plain TensorFlow function of its inputs, nothing of Keras or tf_pai in it."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.data import input_specs
from tf_pai.export.packing import FORMS, Packed, pack, unpack
from tf_pai.layers import ReadAs, prunable_layers, weights_of

_SMALL = 4096  # weights of fewer values are kept in one vector: each variable of a SavedModel takes 1.5 kB of graph
_THE_SMALL = "small weights"
_TRACING = threading.Lock()  # while a model is traced, its layers are changed


@contextlib.contextmanager
def _without_masks(model: keras.Model) -> Iterator[None]:
    """Inside it, wrapped layers call the layer they wrap, and nothing else."""
    layers = list(prunable_layers(model).values())
    for layer in layers:
        layer.__dict__["_run"] = layer.layer
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["_run"]


def weight_values(model: keras.Model) -> dict[str, tuple[keras.Variable, np.ndarray]]:
    """Returns {path: (variable, what the model computes with in its place)} of every weight, in model order."""
    effective = {
        id(variable): np.asarray(value)
        for layer in prunable_layers(model).values()
        for variable, value in layer.effective_weights()
    }
    weights = weights_of(model)
    return {path: (v, effective[id(v)] if id(v) in effective else v.numpy()) for path, v in weights.items()}


class Served(tf.Module):
    """The model's inference: `serve(inputs)` of the model's own structure, and a signature of named tensors.

    Args:
        model: a built model.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        weights = weight_values(model)
        self.order = list(weights)
        self.tables = [table for table in map(_table, model._flatten_layers()) if table is not None]  # saved with it
        self._store(self._values(model, weights))
        variables = [variable for variable, _ in weights.values()]
        specs = _named_specs(model)

        def run(inputs: Any) -> Any:
            values = self._tensors()
            pairs = list(zip(variables, values, strict=True))
            with _TRACING, ReadAs(pairs, write_through=False), _without_masks(model):
                return model(inputs, training=False)

        self.serve = tf.function(run, input_signature=[specs])
        self.signature = _signature(self.serve.get_concrete_function(), specs)  # the one that is saved: no second trace

    def _values(self, model: keras.Model, weights: dict[str, tuple[keras.Variable, np.ndarray]]) -> dict[str, Any]:
        """Returns {path: what is stored of a weight}."""
        return {path: value for path, (_, value) in weights.items()}

    def _store(self, values: dict[str, np.ndarray]) -> None:
        """Keeps each weight as a variable."""
        self.encodings: dict[str, str] = {}
        self.weights = [tf.Variable(value, trainable=False) for value in values.values()]

    def _tensors(self) -> list[tf.Tensor]:
        """Returns the weights, in order."""
        return [variable.value() for variable in self.weights]

    def stored_bytes(self) -> int:
        """Returns what all variables take in the file."""
        return sum(variable.numpy().nbytes for variable in self.variables)


class CompressedServed(Served):
    """The same, from kept values and positions, which are unpacked once when the SavedModel is loaded.

    BatchNorm's four vectors become two, and what is the same value all over is kept once.
    """

    def _values(self, model: keras.Model, weights: dict[str, tuple[keras.Variable, np.ndarray]]) -> dict[str, Any]:
        folded = _folded_batch_norms(model, {id(variable): value for variable, value in weights.values()})
        return {path: folded.get(id(variable), value) for path, (variable, value) in weights.items()}

    def _store(self, values: dict[str, np.ndarray]) -> None:
        self.constants = {path: value.flat[0] for path, value in values.items() if _is_constant(value)}
        self.constant_shapes = {path: values[path].shape for path in self.constants}
        values = {path: value for path, value in values.items() if path not in self.constants}
        floats = {path: value for path, value in values.items() if value.dtype == np.float32}
        large = {path: value for path, value in floats.items() if value.size >= _SMALL}
        small = {path: value for path, value in floats.items() if path not in large}
        others = {path: value for path, value in values.items() if path not in floats}
        self.others = [tf.Variable(value, trainable=False) for value in others.values()]
        self.shapes = [value.shape for value in small.values()]
        vector = np.concatenate([np.zeros(0, np.float32), *(value.ravel() for value in small.values())])
        self.unpacking = _Unpacking({**large, _THE_SMALL: vector})
        self.stored = self.unpacking.variables()  # TensorFlow looks for variables in attributes of modules only
        stored = {path: self.unpacking.encodings[path if path in large else _THE_SMALL] for path in floats}
        self.encodings = {**stored, **dict.fromkeys(self.constants, "constant")}
        self.known = [*large, *small, *others]

    def _tensors(self) -> list[tf.Tensor]:
        *large, small = self.unpacking.tensors()
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = tf.split(small, sizes) if sizes else []
        parts = [
            part if len(shape) == 1 else tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]
        known = [*large, *parts, *(variable.value() for variable in self.others)]
        kinds = {path: (self.constant_shapes[path], value) for path, value in self.constants.items()}
        made = {kind: tf.fill(*kind) for kind in dict.fromkeys(kinds.values())}  # each once: they are graph
        filled = {path: made[kind] for path, kind in kinds.items()}
        found = {**dict(zip(self.known, known, strict=True)), **filled}
        return [found[path] for path in self.order]


def _is_constant(value: np.ndarray) -> bool:
    return value.size > 1 and value.dtype == np.float32 and bool(np.all(value == value.flat[0]))


def _folded_batch_norms(model: keras.Model, values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Returns {id of a BatchNorm's variable: value} of the same function, with the mean 0 and the variance 1 - epsilon.

    In inference, BatchNorm is x * inverse + (beta - mean * inverse), with inverse = gamma / sqrt(variance + epsilon).
    It is computed here as TensorFlow computes it, so that the outputs are the same.
    """
    folded: dict[int, np.ndarray] = {}
    for layer in model._flatten_layers(include_self=False):
        if type(layer) is not keras.layers.BatchNormalization or not (layer.scale and layer.center):
            continue
        names = [id(v) for v in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)]
        if not all(name in values for name in names):
            continue
        gamma, beta, mean, variance = (tf.constant(values[name], tf.float32) for name in names)
        inverse = tf.math.rsqrt(variance + layer.epsilon) * gamma
        found = [inverse, beta - mean * inverse, tf.zeros_like(mean), tf.fill(mean.shape, 1 - layer.epsilon)]
        arrays = [np.asarray(array, np.float32) for array in found]
        if all(np.isfinite(array).all() for array in arrays):
            folded |= dict(zip(names, arrays, strict=True))
    return folded


class _Unpacking(tf.saved_model.experimental.TrackableResource):
    """What TensorFlow initialises after it has restored the variables of a SavedModel, in Python and in C++ alike.

    Args:
        arrays: {name: array} of 32-bit floats.

    Attributes:
        encodings: {name: form in which it is stored}.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__()
        self.encodings = {name: pack(array.ravel()).form for name, array in arrays.items()}
        self.shapes = tuple(array.shape for array in arrays.values())
        self.packed = {form: self._packed(form, arrays) for form in FORMS if form in self.encodings.values()}
        packed = self.packed.values()
        self.values = tf.Variable(np.concatenate([p.values for p in packed]), trainable=False)
        self.positions = tf.Variable(np.concatenate([p.positions for p in packed]), trainable=False)
        # Of unknown shape, so that the file may hold them empty.
        self.arrays = [_empty() for _ in arrays]

    def _packed(self, form: str, arrays: dict[str, np.ndarray]) -> Packed:
        return pack(np.concatenate([a.ravel() for name, a in arrays.items() if self.encodings[name] == form]), form)

    def variables(self) -> list[tf.Variable]:
        """Returns all variables."""
        return [self.values, self.positions, *self.arrays]

    def tensors(self) -> list[tf.Tensor]:
        """Returns the arrays, in order, once they are unpacked."""
        return [tf.ensure_shape(variable, shape) for variable, shape in zip(self.arrays, self.shapes, strict=True)]

    def _create_resource(self) -> tf.Tensor:
        """Nothing reads this resource: it is what makes TensorFlow call `_initialize`."""
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="tf_pai_unpacking")

    def _initialize(self) -> None:
        values = tf.split(self.values, [p.values.size for p in self.packed.values()])
        positions = tf.split(self.positions, [p.positions.size for p in self.packed.values()])
        for (form, packed), value, position in zip(self.packed.items(), values, positions, strict=True):
            members = [i for i, name in enumerate(self.encodings) if self.encodings[name] == form]
            vector = unpack(form, value, position, packed.size)
            parts = tf.split(vector, [math.prod(self.shapes[i]) for i in members])
            for i, part in zip(members, parts, strict=True):
                self.arrays[i].assign(tf.reshape(part, self.shapes[i]))


def _empty() -> tf.Variable:
    return tf.Variable(np.zeros(0, np.float32), shape=tf.TensorShape(None), trainable=False)


def input_names(model: keras.Model) -> list[str]:
    """Returns the signature's names of the inputs, in the order of the flattened structure."""
    return [spec.name for spec in keras.tree.flatten(_named_specs(model))]


def _table(layer: keras.Layer) -> Any:
    """The table of a lookup layer."""
    return getattr(layer, "lookup_table", None)


def _named_specs(model: keras.Model) -> Any:
    """Gives the inputs names that a signature may have: those of the model where there are any, else `input_0`, ..."""
    specs = input_specs(model)
    flat = keras.tree.flatten(specs)
    names = [_argument(tensor.name) for tensor in getattr(model, "inputs", None) or []]
    if len(set(names)) < len(flat):
        names = [f"input_{i}" for i in range(len(flat))]
    named = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype, name) for spec, name in zip(flat, names, strict=True)]
    return keras.tree.pack_sequence_as(specs, named)


def _argument(name: str) -> str:
    """The name as TensorFlow takes it for an argument: letters of English, digits, and _; a letter first."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return name if name[:1].isalpha() else f"input_{name.lstrip('_')}"


def _signature(serve: Any, specs: Any) -> Any:
    """Returns the function {input name: tensor} -> {"output_0": tensor, ...}."""
    flat = keras.tree.flatten(specs)

    def signature(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        ordered = [inputs[spec.name] for spec in flat]
        outputs = keras.tree.flatten(serve(keras.tree.pack_sequence_as(specs, ordered)))
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    return tf.function(signature).get_concrete_function(**{spec.name: spec for spec in flat})
