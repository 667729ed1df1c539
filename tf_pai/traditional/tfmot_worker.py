"""The process of its own in which tfmot prunes a tf_keras model while training it.

Run as `python -P tfmot_worker.py FOLDER` with TF_USE_LEGACY_KERAS=1; it imports nothing of tf_pai. FOLDER holds
`job.json` and `weights.npz`. For each line on stdin, a number n, it trains one epoch on `x<n>.npy` and `y<n>.npy` and
answers with a line of JSON, its logs; at the end of stdin it writes `trained.npz`: "<layer>/<place>" for each weight,
"<layer>/<place>/mask" for each mask.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
from tensorflow_model_optimization.sparsity import keras as sparsity


def known_arguments(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """Returns `config` without what `kind` does not know and what is off anyway.

    Raises:
        ValueError: something unknown that is not off.
    """
    known = {name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters}  # type: ignore[misc]
    known |= {"name", "trainable", "batch_input_shape"}
    for name, value in config.items():
        if name not in known and value not in (None, False):
            raise ValueError(f"tf_keras' {kind.__name__} has no argument {name!r}. Received: {name}={value!r}.")
    return {name: value for name, value in config.items() if name in known}


def make_layer(entry: dict[str, Any]) -> Any:
    """Returns the twin of one layer; of an input, the tensor."""
    config = dict(entry["config"])
    if entry["class_name"] == "InputLayer":
        shape = config["batch_shape"]
        return tf_keras.Input(shape=shape[1:], name=entry["name"])
    kind = getattr(tf_keras.layers, entry["class_name"])
    return kind.from_config(known_arguments(kind, config))


def make_model(spec: dict[str, Any], weights: dict[str, np.ndarray]) -> tf_keras.Model:
    """Returns the twin with the given weights, each layer with a prunable weight wrapped by tfmot."""
    layers = {entry["name"]: wrapped(make_layer(entry), spec) for entry in spec["layers"]}
    tensors = {(e["name"], 0): layers[e["name"]] for e in spec["layers"] if e["class_name"] == "InputLayer"}
    calls = [(e["name"], n, call) for e in spec["layers"] for n, call in enumerate(e["calls"])]
    while calls:
        waiting = []
        for name, n, call in calls:
            inputs = [tensors.get(tuple(place)) for place in call]
            if any(tensor is None for tensor in inputs):
                waiting.append((name, n, call))
            else:
                tensors[name, n] = layers[name](inputs[0] if len(inputs) == 1 else inputs)
        calls = waiting
    model = tf_keras.Model(*[[tensors[tuple(p)] for p in spec[side]] for side in ("inputs", "outputs")])
    for name, layer in layers.items():
        if isinstance(layer, tf_keras.layers.Layer):
            inner = getattr(layer, "layer", layer)
            for place, variable in enumerate(inner.weights):
                variable.assign(weights[f"{name}/{place}"])
    return model


def wrapped(layer: Any, spec: dict[str, Any]) -> Any:
    """Returns the layer as tfmot prunes it, or itself where tfmot has nothing to prune in it."""
    if not isinstance(layer, tf_keras.layers.Layer) or not PruneRegistry.supports(layer):
        return layer
    if not PruneRegistry._weight_names(layer):
        return layer
    schedule = sparsity.PolynomialDecay(**spec["schedule"])
    return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule, name=layer.name)


def make_optimizer(config: dict[str, Any]) -> tf_keras.optimizers.Optimizer:
    """Returns the twin of an optimizer, with its learning-rate schedule."""
    kind, arguments = getattr(tf_keras.optimizers, config["class_name"]), dict(config["config"])
    rate = arguments["learning_rate"]
    if isinstance(rate, dict):
        arguments["learning_rate"] = getattr(tf_keras.optimizers.schedules, rate["class_name"])(**rate["config"])
    arguments.pop("loss_scale_factor", None)
    return kind(**known_arguments(kind, arguments))


def trained_arrays(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Returns weights and masks by layer and place."""
    arrays = {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        masks = {id(weight): mask for weight, mask, _ in getattr(layer, "pruning_vars", [])}
        for place, variable in enumerate(inner.weights):
            mask = masks.get(id(variable))
            arrays[f"{inner.name}/{place}"] = variable.numpy() * (1 if mask is None else mask.numpy())
            if mask is not None:
                arrays[f"{inner.name}/{place}/mask"] = mask.numpy() != 0
    return arrays


def main(folder: pathlib.Path) -> None:
    """Trains as the lines on stdin say."""
    spec = json.loads((folder / "job.json").read_text())
    tf.keras.utils.set_random_seed(spec["seed"])
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        model = make_model(spec, dict(weights))
    loss = spec["loss"] if isinstance(spec["loss"], str) else tf_keras.losses.get(spec["loss"])
    model.compile(make_optimizer(spec["optimizer"]), loss)
    for line in sys.stdin:
        x, y = (np.load(folder / f"{name}{int(line)}.npy", allow_pickle=False, mmap_mode="r") for name in "xy")
        step = sparsity.UpdatePruningStep()
        history = model.fit(x, y, batch_size=spec["batch_size"], shuffle=False, verbose=0, callbacks=[step])
        print(json.dumps({name: float(values[-1]) for name, values in history.history.items()}), flush=True)
    np.savez(folder / "trained.npz", **trained_arrays(model))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
