"""What compute="sparse" gains over dense Keras, as ratios measured in one run, on a machine that does nothing else.

  python -m experiments.speed
  python -m experiments.speed --networks=resnet_20 --sparsities=0.95 --out=FILE

Forms of one network take turns, so that all see the same machine: plain dense Keras, dense compiled by XLA, masked, and
at each sparsity "sparse" and, for perceptrons, the kept weights through tf.sparse. Shown is the median of the rounds'
ratios to plain dense with a 95 % interval: of one step by itself, of `fit`, and of the processors' time. Peak memory is
that of a process of its own for each form. Runs of the same FILE add up, each with the ratios of its own rounds.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import functools
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.speed_plot import plot
from experiments.table import show, write
from experiments.timing import Times, alternate, batches, median_interval, peak_megabytes
from tf_pai import networks
from tf_pai.compute.qualifying import fused_form
from tf_pai.layers import replace_layers, sparse_layers

tf.get_logger().setLevel("ERROR")  # each form of a network is a graph of its own, and none is traced in vain
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "adam": lambda: keras.optimizers.Adam(1e-4),
    "sgd": lambda: keras.optimizers.SGD(1e-3, momentum=0.9),
}
FORMS = ("xla", "fused-norm", "masked", "sparse", "tf.sparse")
CONVOLUTIONAL = ("vgg_11", "vgg_16", "resnet_20", "mobilenet_v1")
OTHERS = (*CONVOLUTIONAL, "transformer")


@dataclasses.dataclass(frozen=True)
class Speed:
    """What is measured."""

    networks: tuple[str, ...] = setting(
        ("300-100", "1024-1024", "4096-4096"),
        f"Units of perceptrons on 784 inputs, or {', '.join(OTHERS)}.",
    )
    sparsities: tuple[float, ...] = setting((0.7, 0.8, 0.9, 0.95, 0.98, 0.99), "Of every prunable weight but the last.")
    forms: tuple[str, ...] = setting(
        FORMS, "Measured beside plain dense; fused-norm: dense with to_sparse's BatchNormalization.", lambda: FORMS
    )
    optimizer: str = setting("adam", "What trains.", lambda: list(OPTIMIZERS))
    batch_size: int = setting(128, "Examples per step.")
    rounds: int = setting(20, "Rounds, in each of which every form is timed once.")
    steps: int = setting(5, "Steps per round; a perceptron below 1 million weights takes ten times as many.")
    steps_per_execution: int = setting(1, "Of `fit`, for every form: how many steps Keras runs at once.")
    memory: str = setting("", "Units of a perceptron whose peak memory is measured, such as 16384-16384.")
    out: str = setting("", "Where the figures go, beside those that are there: OUT.json, OUT.csv and OUT.png.")


def main(config: Speed) -> None:
    """Measures, prints tables and draws the plot."""
    rows = [row for name in config.networks for row in measured(config, name)]
    if rows:
        head = ["network", "form", "step", "95 %", "fit", "CPU"]
        title = f"time / plain dense Keras, {config.optimizer}, batch {config.batch_size}"
        show(title, head, [[row["network"], row["form"], *map(_text, list(row.values())[3:])] for row in rows])
    if config.memory:
        _show_memory(config)
    if config.out and rows:
        rows = merged(pathlib.Path(config.out).with_suffix(".json"), rows)
        write(pathlib.Path(config.out), rows)
        plot(rows, pathlib.Path(config.out).with_suffix(".png"))


def merged(file: pathlib.Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows of a file of earlier runs, new ones in place of those of the same network and form."""
    known = json.loads(file.read_text()) if file.exists() else []
    by_form = {(row["network"], row["form"]): row for row in [*known, *rows]}
    return list(by_form.values())


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def measured(config: Speed, name: str) -> list[dict[str, Any]]:
    """Returns one row per form of a network: ratios to plain dense of a step, of `fit` and of CPU time."""
    models = forms_of(config, name)
    shape = models["dense"].input_shape[1:]
    is_small = name not in OTHERS and models["dense"].count_params() < 10**6
    count = config.steps * (10 if is_small else 1)
    data = batches(shape, config.batch_size, count)
    x, y = next(iter(data))
    steps = {form: _step(model, form == "xla", x, y) for form, model in models.items()}
    repeated: dict[str, Callable[[], object]] = {
        f: functools.partial(_repeat, step, count) for f, step in steps.items()
    }
    wall, _ = alternate(repeated, config.rounds)
    fits: dict[str, Callable[[], object]] = {
        form: functools.partial(model.fit, data, verbose=0, shuffle=False) for form, model in models.items()
    }
    fit_wall, fit_cpu = alternate(fits, config.rounds)
    label = name if config.batch_size == 128 else f"{name}, batch {config.batch_size}"
    milliseconds = 1000 * statistics.median(wall["dense"]) / count
    rows = [{"network": label, "form": "dense", "sparsity": 0.0, "step": f"{milliseconds:.2f} ms", "95 %": ""}]
    rows[0] |= {"fit": f"{1000 * statistics.median(fit_wall['dense']) / count:.2f} ms", "CPU": ""}
    for form in models:
        if form != "dense":
            step, low, high = median_interval(ratios(wall, form))
            fit, cpu = (statistics.median(ratios(times, form)) for times in (fit_wall, fit_cpu))
            sparsity = float(form.split()[1]) if " " in form else 0.0
            row = {"network": label, "form": form, "sparsity": sparsity, "step": step, "95 %": f"{low:.3f}-{high:.3f}"}
            rows.append({**row, "fit": fit, "CPU": cpu})
    return rows


def ratios(times: Times, form: str) -> list[float]:
    """Returns the ratio of a form to plain dense in each round."""
    return [a / b for a, b in zip(times[form], times["dense"], strict=True)]


def forms_of(config: Speed, name: str) -> dict[str, keras.Model]:
    """Returns {form: compiled model} of a network; sparse ones with their sparsity, as in "sparse 0.9"."""
    make = functools.partial(compiled, config)
    models = {"dense": make(build(name))}
    if "xla" in config.forms:
        models["xla"] = make(build(name), jit_compile=True)
    if "fused-norm" in config.forms and name in CONVOLUTIONAL:
        models["fused-norm"] = make(replace_layers(build(name), lambda layer, copy: fused_form(layer) or copy))
    if "masked" in config.forms:
        models["masked"] = make(pruned(build(name), 0.9, "masked"))
    for sparsity in config.sparsities:
        for form in ("sparse", "tf.sparse"):
            if form in config.forms and (form == "sparse" or name not in OTHERS):
                model = pruned(build(name), sparsity, "sparse")
                for layer in sparse_layers(model).values() if form == "tf.sparse" else ():
                    layer.__dict__["_compute"] = through_tf_sparse
                models[f"{form} {sparsity:g}"] = make(model)
    return models


def compiled(config: Speed, model: keras.Model, jit_compile: Any = False) -> keras.Model:
    """Compiles a model, and returns it."""
    options = {"jit_compile": jit_compile, "steps_per_execution": config.steps_per_execution}
    model.compile(OPTIMIZERS[config.optimizer](), LOSS, **options)
    return model


def pruned(model: keras.Model, sparsity: float, compute: str) -> keras.Model:
    """Returns the model with random masks, the same sparsity in each layer, its small last layer left dense."""
    *_, last = (layer.name for layer in model.layers if layer.trainable_variables)
    options: dict[str, Any] = {"distribution": "uniform", "seed": 0, "verbose": 0, "exclude": last}
    return tf_pai.prune_at_init(model, "random", sparsity, compute=compute, **options)


def build(name: str) -> keras.Model:
    """Returns a network with ten classes."""
    if name == "transformer":
        return transformer()
    if name in OTHERS:
        return networks.build(name, input_shape=(32, 32, 3), classes=10, seed=0)
    layers = [keras.layers.Dense(int(units), "relu") for units in name.split("-")]
    return keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])


def transformer(length: int = 64, units: int = 256) -> keras.Model:
    """Returns one pre-norm encoder block and a classifier of the mean."""
    layers = keras.layers
    inputs = keras.Input((length, units))
    y = layers.LayerNormalization()(inputs)
    x = layers.Add()([inputs, layers.MultiHeadAttention(4, units // 4)(y, y)])
    y = layers.Dense(4 * units, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(units)(y)])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def through_tf_sparse(inputs: Any, values: Any, structure: Any, bias: Any, relu: bool) -> tf.Tensor:
    """Computes a dense layer by TensorFlow's own product of a sparse and a dense matrix."""
    rows, cols = structure.shape
    pointers = tf.cast(structure.row_ptr, "int64")
    row_of = tf.repeat(tf.range(rows, dtype="int64"), pointers[1:] - pointers[:-1])
    indices = tf.stack([row_of, tf.cast(structure.col_idx, "int64")], 1)
    kernel = tf.SparseTensor(indices, values, [rows, cols])
    y = tf.transpose(tf.sparse.sparse_dense_matmul(kernel, inputs, adjoint_a=True, adjoint_b=True)) + bias
    return tf.nn.relu(y) if relu else y


def _step(model: keras.Model, jit_compile: bool, x: tf.Tensor, y: tf.Tensor) -> Callable[[], Any]:
    """One training step, as a graph of its own."""

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=True))
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    model.optimizer.build(model.trainable_variables)
    return lambda: step().numpy()


def _repeat(step: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        step()


def _show_memory(config: Speed) -> None:
    rows = []
    for sparsity in (0.0, *config.sparsities):
        code = f"from experiments.speed import peak; peak({config.memory!r}, {sparsity}, {config.optimizer!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        rows.append((sparsity, json.loads(done.stdout.splitlines()[-1])))
    head = ["sparsity", "peak over TensorFlow", "of dense", "fit step"]
    dense = rows[0][1]["megabytes"]
    cells = [
        [f"{s:g}", f"{m['megabytes']:,.0f} MB", f"1/{dense / m['megabytes']:.1f}", f"{1000 * m['seconds']:.0f} ms"]
        for s, m in rows
    ]
    show(f"784-{config.memory}-10, {config.optimizer}, batch 128", head, cells)


def peak(units: str, sparsity: float, optimizer: str) -> None:
    """Prints the peak memory over TensorFlow's own, and the time of a step, of training a perceptron."""
    make: Any = keras.layers.Dense
    if sparsity:
        make = functools.partial(tf_pai.layers.SparseDense, density=1 - sparsity, seed=0)
        make(8)(np.ones((1, 8), "float32"))  # loads the kernels
    base = peak_megabytes()
    layers = [make(int(n), activation="relu") for n in units.split("-")]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])
    model.compile(OPTIMIZERS[optimizer](), LOSS)
    data = batches((784,), 128, 4)
    model.fit(data, verbose=0)
    (seconds,) = alternate({"fit": lambda: model.fit(data, verbose=0)}, 1)[0]["fit"]
    print(json.dumps({"megabytes": peak_megabytes() - base, "seconds": seconds / 4}))


if __name__ == "__main__":
    launch(Speed, main)
