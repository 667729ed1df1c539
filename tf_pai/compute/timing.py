"""Times a layer's training step in dense and in sparse form, once for each shape."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.compute.qualifying import sparse_form
from tf_pai.layers import PrunableLayer
from tf_pai.layers.copying import copy_layer

BATCH, SIDE = 128, 16  # stand for a batch size, and a length, that the layer does not know
FLOATS = 1 << 25  # inputs and outputs of a batch have at most so many numbers each
SECONDS, ROUNDS = 0.5, 15  # a form is timed in at most this many rounds, in about this time
_known: dict[str, float] = {}


def step_ratio(layer: PrunableLayer) -> float:
    """Returns the time of a training step of the layer alone in sparse form, divided by that in dense form.

    A step is the forward pass, gradients by weights and input, and SGD with momentum, on 128 random examples. Rounds of
    both forms take turns; the ratio is that of their medians. Layers of the same shape and number of kept weights are
    timed once in a process.

    Args:
        layer: a built layer that qualifies.
    """
    shapes = _input_shapes(layer)
    config = {name: value for name, value in layer.layer.get_config().items() if name not in ("name", "trainable")}
    kept = [int(np.count_nonzero(mask.numpy())) for _, mask in layer.pairs.values()]
    key = json.dumps([type(layer.layer).__name__, config, shapes, kept], default=str)
    if key not in _known:
        state = random.getstate()  # new layers draw seeds: a run does not depend on what was timed before
        try:
            dense = copy_layer(layer.layer)
            dense.build_from_config(layer.layer.get_build_config())
            _known[key] = _ratio(_step(sparse_form(layer), shapes), _step(dense, shapes))
        finally:
            random.setstate(state)
    return _known[key]


def _input_shapes(layer: PrunableLayer) -> list[tuple[int, ...]]:
    """Shapes to time with: fewer examples of big ones."""
    config = layer.layer.get_build_config()
    shapes = config["shapes_dict"].values() if "shapes_dict" in config else [config["input_shape"]]
    side = max((SIDE, *getattr(layer.layer, "kernel_size", ())))  # no smaller than the window
    known = [(1, *(side if length is None else int(length) for length in shape[1:])) for shape in shapes]
    outputs = layer.layer.compute_output_shape(*known)
    largest = max(math.prod(shape) for shape in (*known, outputs))
    batch = min(BATCH, max(1, FLOATS // largest))
    return [(batch, *shape[1:]) for shape in known]


def _step(layer: keras.Layer, shapes: list[tuple[int, ...]]) -> Callable[[], Any]:
    """A training step of the layer on random input."""
    rng = np.random.default_rng(0)
    inputs = [tf.constant(rng.standard_normal(shape), layer.compute_dtype) for shape in shapes]
    optimizer = keras.optimizers.SGD(1e-6, momentum=0.9)
    optimizer.build(layer.trainable_variables)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(tf.cast(layer(*inputs), "float32")))
        variables = layer.trainable_variables
        gradients = tape.gradient(loss, [*inputs, *(variable.value for variable in variables)])
        optimizer.apply(gradients[len(inputs) :], variables)
        return tf.add_n([tf.reduce_max(gradient) for gradient in gradients[: len(inputs)]])

    return lambda: step().numpy()


def _ratio(one: Callable[[], Any], other: Callable[[], Any]) -> float:
    for _ in range(2):  # trace, and warm up
        one(), other()
    times: dict[Any, list[float]] = {one: [], other: []}
    while len(times[one]) < ROUNDS and sum(times[one]) + sum(times[other]) < SECONDS:
        for step in (one, other) if len(times[one]) % 2 else (other, one):
            began = time.perf_counter()
            step()
            times[step].append(time.perf_counter() - began)
    return statistics.median(times[one]) / statistics.median(times[other])
