"""Controls with the same budget: a small dense network, and a re-initialized one that is trained longer."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.layers import prunable_weights, strip
from tf_pai.layers.copying import copy_layer
from tf_pai.layers.graph import output_layers
from tf_pai.layers.paths import has_config, is_graph
from tf_pai.layers.rebuilding import compile_like
from tf_pai.sanity.context import Context
from tf_pai.sanity.controls import CHECKS, NEEDS
from tf_pai.sanity.verdict import Finding, compared
from tf_pai.tickets.bench import Bench
from tf_pai.tickets.changing import reinitialized
from tf_pai.tickets.stretching import stretched_bench

_WIDTHS = ("units", "filters")


@CHECKS.register("trained_longer")
def trained_longer(context: Context) -> Finding:
    """Re-initialized, and trained `longer` (2) times as many epochs, the learning rate's steps stretched with them.

    Reference: Liu et al. 2019, "Rethinking the value of network pruning", section 3 (Scratch-B); Gale et al. 2019, "The
    state of sparsity in deep neural networks", section 6.
    """
    factor, masks = context.options["longer"], context.masks
    bench = stretched_bench(context.bench, factor)
    epochs = round(factor * bench.routine.epochs)
    controls = [
        bench.train(
            context.reinitialized(seed), masks, f"longer {seed + 1}/{context.seeds}", replicate=seed, epochs=epochs
        ).metrics[context.metric]
        for seed in range(context.seeds)
    ]
    name = f"re-initialized and trained {factor:g} times as long"
    return compared("trained_longer", name, context.found, controls, context.margin)


@CHECKS.register("small_dense")
def small_dense(context: Context) -> Finding:
    """A dense network of the same kind, narrower in all layers, with about as many weights as the ticket keeps.

    Reference: Gale et al. 2019, section 5; Zhu and Gupta 2017, "To prune, or not to prune".
    """
    known = prunable_weights(context.bench.model)  # those that are left dense by `exclude` are kept too
    kept = sum(int(context.masks[p].sum()) if p in context.masks else int(np.prod(w.shape)) for p, w in known.items())
    small, size = narrowed(strip(context.ticket.model), kept)
    compile_like(context.bench.model, small)
    bench = Bench(small, context.bench.routine, [], context.bench.folder)
    values = bench.values()
    every = dict.fromkeys(prunable_weights(bench.model), np.ones(0, bool))
    controls = [
        bench.train(
            reinitialized(bench.model, values, every, seed), {}, f"small {seed + 1}/{context.seeds}", replicate=seed
        ).metrics[context.metric]
        for seed in range(context.seeds)
    ]
    name = f"dense networks of {size:,} weights (ticket {kept:,})"
    return compared("small_dense", name, context.found, controls, context.margin)


def narrowed(model: keras.Model, weights: int) -> tuple[keras.Model, int]:
    """Returns the widest network of the same layers with at most so many prunable weights, and how many it has.

    Every width (units, filters) but that of the output layers is multiplied by the same factor, and is 1 at least.

    Raises:
        ValueError: the model is no Sequential or functional one.
    """
    _check_graph(model)
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if _size(_scaled(model, middle)) <= weights else (low, middle)
    small = _scaled(model, low)
    return small, _size(small)


def _check_graph(model: keras.Model) -> None:
    if not is_graph(model):
        raise ValueError(
            f"A narrower network is made of a Sequential or functional model. Received: {type(model).__name__}. "
            "Leave the check 'small_dense' out."
        )


NEEDS["small_dense"] = lambda context: _check_graph(context.ticket.model)
NEEDS["trained_longer"] = lambda context: stretched_bench(context.bench, context.options["longer"])


def _size(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in prunable_weights(model).values())


def _scaled(model: keras.Model, factor: float) -> keras.Model:
    last = {id(layer) for layer in output_layers(model)}

    def scaled(layer: keras.Layer) -> keras.Layer:
        config = {} if id(layer) in last or not has_config(layer) else layer.get_config()
        return copy_layer(layer, {n: max(1, round(config[n] * factor)) for n in _WIDTHS if n in config})

    return keras.models.clone_model(model, clone_function=scaled)
