"""A model, its data and its loss as one function of its weights, for scores to differentiate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria import losses
from tf_pai.criteria.data import Batch
from tf_pai.layers import PrunableWeight, ReadAs
from tf_pai.layers.paths import owned_weights
from tf_pai.layers.precision import computing_in

Tensors = list[tf.Tensor]


class Problem:
    """What a criterion may ask: outputs, loss and gradients as functions of the prunable weights.

    Nothing here writes to the model: weights are read as tensors, and updates of BatchNorm statistics and dropout seeds
    are dropped. All float layers compute in float32 (or `dtype`), also those of a mixed-precision model.

    Args:
        model: a built model, pruned or not.
        weights: {path: PrunableWeight} of the weights that take part.
        batches: the batches to score on; empty for criteria that need none.
        loss: (y, outputs, sample_weight) -> mean loss; None for criteria that need none.
        seed: of everything random in a score.

    Attributes:
        keep: number of weights that the present round keeps; None where scores are all that is asked for.
    """

    def __init__(
        self,
        model: keras.Model,
        weights: dict[str, PrunableWeight],
        batches: list[Batch] | None = None,
        loss: Any = None,
        seed: int = 0,
    ):
        self.model, self.weights, self.batches, self.loss, self.seed = model, weights, batches or [], loss, seed
        self.keep: int | None = None
        self.activation = losses.output_activation(model)
        self._traced: dict[Any, Any] = {}

    @property
    def paths(self) -> list[str]:
        """The paths of the weights, in model order."""
        return list(self.weights)

    def generator(self) -> np.random.Generator:
        """Returns a new generator of random numbers; the same one at each call."""
        return np.random.default_rng(self.seed)

    def values(self) -> dict[str, np.ndarray]:
        """Returns {path: current weight}."""
        return {path: weight.variable.numpy() for path, weight in self.weights.items()}

    def tensors(self, dtype: str = "float32") -> Tensors:
        """Returns the current weights, in model order; without a copy where they are of `dtype`."""
        return [tf.cast(tf.convert_to_tensor(w.variable.value), dtype) for w in self.weights.values()]

    def masked(self, masks: dict[str, np.ndarray], dtype: str = "float32") -> Tensors:
        """Returns the weights of the network pruned by `masks`."""
        pairs = zip(self.tensors(dtype), self.paths, strict=True)
        return [w if masks[path].all() else w * tf.cast(masks[path], dtype) for w, path in pairs]

    def arrays(self, tensors: Tensors) -> dict[str, np.ndarray]:
        """Returns {path: array} of tensors in model order."""
        return {path: tensor.numpy() for path, tensor in zip(self.paths, tensors, strict=True)}

    @contextlib.contextmanager
    def reading(self, values: Tensors, dtype: str = "float32", absolute: bool = False) -> Iterator[ReadAs]:
        """Inside it, the model's weights read as `values`, and all its other float variables as `dtype`.

        What it yields holds the writes that it kept from the model: `scope.state_mapping[id(variable)]`.

        Args:
            values: tensors in model order.
            dtype: what the model computes in.
            absolute: whether the other variables (biases, BatchNorm's) read as their absolute values.
        """
        own = {id(w.variable) for w in self.weights.values()}
        pairs = [(w.variable, value) for w, value in zip(self.weights.values(), values, strict=True)]
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":  # the same dropout for the same seed
                pairs.append((variable, tf.constant([self.seed % 2**31, 0], variable.dtype)))
            elif id(variable) not in own and "float" in variable.dtype and (absolute or variable.dtype != dtype):
                value = tf.cast(tf.convert_to_tensor(variable.value), dtype)
                pairs.append((variable, tf.abs(value) if absolute else value))
        with computing_in(self.model, dtype), ReadAs(pairs, write_through=False) as scope:
            yield scope

    def outputs(self, values: Tensors, x: Any, training: bool = False) -> Any:
        """Returns the model's outputs with `values` for weights."""
        with self.reading(values):
            return self.model(x, training=training)

    def batch_loss(self, values: Tensors, batch: Batch, training: bool = False, temperature: float = 1.0) -> tf.Tensor:
        """Returns the mean loss of a batch, times its share; logits of a cross-entropy are divided by `temperature`."""
        outputs = self.outputs(values, batch.x, training)
        if losses.is_classification(self.loss):
            outputs = losses.tempered(outputs, self.activation, temperature)
        return self.loss(batch.y, outputs, batch.sample_weight) * batch.share

    def traced(self, key: Any, function: Callable) -> Callable:
        """Returns `function` as a graph, traced once per key, however many rounds call it."""
        if key not in self._traced:
            graph = self._traced[key] = tf.function(function, reduce_retracing=True)
            graph._omit_frequent_tracing_warning = True  # each problem is a graph of its own
        return self._traced[key]

    def sum_over_batches(
        self, key: Any, function: Callable, *arguments: Any, batches: list[Batch] | None = None
    ) -> Tensors:
        """Returns the sum of `function(batch, *arguments)`, tensors in model order, over all batches.

        Args:
            key: names the function: it is traced once per key, however many rounds call it.
            function: called with a Batch and the arguments, gives tensors in model order.
            *arguments: tensors or structures of tensors.
            batches: in place of all.
        """
        graph = self.traced(
            key, lambda x, y, weight, share, arguments: function(Batch(x, y, weight, share), *arguments)
        )
        total: Tensors = []
        for batch in self.batches if batches is None else batches:
            share = tf.constant(batch.share, "float32")
            inputs = keras.tree.map_structure(_as_tensor, (batch.x, batch.y, batch.sample_weight))
            part = graph(*inputs, share, arguments)
            total = [a + b for a, b in zip(total, part, strict=True)] if total else part
        return total

    def logical_batches(self) -> list[list[Batch]]:
        """Returns the batches, the pieces that a pair of arrays was cut into together as the one batch they are."""
        is_cut = len(self.batches) > 1 and self.batches[0].share < 1
        return [self.batches] if is_cut else [[batch] for batch in self.batches]

    def over_trainables(self) -> Problem:
        """Returns the same problem as a function of all trainable float variables, biases and excluded weights too."""
        everything = {
            path: PrunableWeight(path, variable, owner, input_axis=-2, output_axis=-1)
            for path, owner, variable in owned_weights(self.model)
            if variable.trainable and "float" in variable.dtype
        }
        return Problem(self.model, everything, self.batches, self.loss, self.seed)

    def gradients(self, values: Tensors, training: bool = False, temperature: float = 1.0) -> Tensors:
        """Returns dL/dw at `values`, summed over the batches, before any absolute value."""

        def gradient(batch: Batch, values: Tensors) -> Tensors:
            return self.gradient(batch, values, training, temperature)

        return self.sum_over_batches(("gradients", training, temperature), gradient, values)

    def gradient(self, batch: Batch, values: Tensors, training: bool = False, temperature: float = 1.0) -> Tensors:
        """Returns dL/dw of one batch, dense, zero for weights that the loss does not reach."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = self.batch_loss(values, batch, training, temperature)
        return dense(tape.gradient(loss, values, unconnected_gradients="zero"))

    def hessian_product(
        self,
        batch: Batch,
        values: Tensors,
        direction: Tensors | None = None,
        training: bool = False,
        temperature: float = 1.0,
    ) -> Tensors:
        """Returns Hv of one batch, v being `direction`, or the batch's own gradient: d(g . stop(v))/dw."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            gradients = self.gradient(batch, values, training, temperature)
            direction = [tf.stop_gradient(v) for v in (direction or gradients)]
            product = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradients, direction, strict=True)])
        return dense(tape.gradient(product, values, unconnected_gradients="zero"))


def dense(gradients: list[Any]) -> Tensors:
    """Returns gradients as tensors: those of embeddings come as slices."""
    return [tf.convert_to_tensor(g) for g in gradients]


def _as_tensor(value: Any) -> Any:
    return None if value is None else tf.convert_to_tensor(value)
