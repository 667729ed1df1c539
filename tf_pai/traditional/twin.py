"""What a tf_keras process needs to make the twin of a Keras 3 model, as JSON: layers, how they connect, how to train.

Only names and plain configurations go over; weights are passed as arrays, in the order of `layer.weights`.
"""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.layers.paths import is_graph

# Layers whose configuration, weights and output are the same in both Keras versions.
TWINS = frozenset(
    {
        "InputLayer",
        "Dense",
        "Conv1D",
        "Conv2D",
        "Conv3D",
        "Conv2DTranspose",
        "DepthwiseConv2D",
        "SeparableConv2D",
        "Embedding",
        "BatchNormalization",
        "LayerNormalization",
        "Activation",
        "ReLU",
        "LeakyReLU",
        "Softmax",
        "Dropout",
        "SpatialDropout2D",
        "MaxPooling1D",
        "MaxPooling2D",
        "AveragePooling1D",
        "AveragePooling2D",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "Flatten",
        "Reshape",
        "Permute",
        "ZeroPadding2D",
        "Cropping2D",
        "UpSampling2D",
        "Add",
        "Subtract",
        "Multiply",
        "Average",
        "Maximum",
        "Concatenate",
    }
)


def describe(model: keras.Model) -> dict[str, Any]:
    """Returns {"layers": [{"class_name", "name", "config", "calls"}], "inputs": ..., "outputs": ...}.

    A call is the list of the [layer name, call number] whose outputs it takes.

    Raises:
        ValueError: a layer, or the way it is called, has no twin in tf_keras; the message names the first one.
    """
    if not is_graph(model):
        raise ValueError(
            "A tf_keras twin is made of a Sequential or functional model. Received: "
            f"{model.name!r} of type {type(model).__name__}."
        )
    graph = model._functional if isinstance(model, keras.Sequential) else model
    for layer in graph.operations:
        _check(layer)
    config = graph.get_config()
    return {
        "layers": [_layer(graph, entry) for entry in config["layers"]],
        "inputs": _references(config["input_layers"]),
        "outputs": _references(config["output_layers"]),
    }


def training(model: keras.Model) -> dict[str, Any]:
    """Returns {"optimizer": ..., "loss": ...} of a compiled model.

    Raises:
        ValueError: a loss that is not one of Keras' own by name or object.
    """
    return {"optimizer": _plain(keras.saving.serialize_keras_object(model.optimizer)), "loss": _loss(model.loss)}


def _check(layer: Any) -> None:
    known = type(layer).__module__.startswith("keras.src.layers") and type(layer).__name__ in TWINS
    policy = getattr(getattr(layer, "dtype_policy", None), "name", "float32")
    if not known or policy != "float32":
        what = type(layer).__name__ if not known else f"{type(layer).__name__} in {policy}"
        raise ValueError(
            f"The tfmot baseline trains a tf_keras twin of the model. Received: layer {layer.name!r} ({what}), which "
            "has no twin. Use the method 'magnitude_after_training', which needs none."
        )


def _layer(graph: keras.Model, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "class_name": entry["class_name"],
        "name": entry["name"],
        "config": _layer_config(entry["config"]),
        "calls": [_call(graph.get_layer(entry["name"]), node) for node in entry["inbound_nodes"]],
    }


def _layer_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what the twin does not need: weights are set, so no initializers."""
    left_out = ("dtype", "autocast", "optional", "ragged", "sparse")
    return {
        key: _plain(value)
        for key, value in config.items()
        if key not in left_out and not key.endswith("_initializer") and value is not None
    }


def _call(layer: keras.Layer, node: dict[str, Any]) -> list[list[Any]]:
    arguments = node["args"][0] if len(node["args"]) == 1 else node["args"]
    tensors = arguments if isinstance(arguments, (list, tuple)) else [arguments]
    plain = all(isinstance(t, dict) and t.get("class_name") == "__keras_tensor__" for t in tensors)
    # `training` as recorded is overridden by the model's own in each call.
    if not plain or any(value is not None for name, value in node["kwargs"].items() if name != "training"):
        raise ValueError(
            "A layer with a twin is called with tensors alone. Received: other arguments in a call of "
            f"{layer.name!r}. Use the method 'magnitude_after_training', which needs no twin."
        )
    return [list(t["config"]["keras_history"][:2]) for t in tensors]


def _references(places: Any) -> list[list[Any]]:
    """[name, call number] of one place or of several, without the tensor number, which is 0."""
    return [places[:2]] if isinstance(places[0], str) else [place[:2] for place in places]


def _plain(value: Any) -> Any:
    """A serialised object in the form both versions read: class name and configuration."""
    if isinstance(value, dict) and "class_name" in value:
        return {"class_name": value["class_name"], "config": _plain(value["config"])}
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _loss(loss: Any) -> Any:
    if isinstance(loss, str):
        return loss
    if isinstance(loss, keras.losses.Loss) and type(loss).__module__.startswith("keras.src.losses"):
        config = {key: value for key, value in loss.get_config().items() if key != "dtype"}
        return {"class_name": type(loss).__name__, "config": config}
    raise ValueError(f"A twin trains with one of Keras' own losses, by name or object. Received: loss={loss!r}.")
