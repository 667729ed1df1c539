"""select_subnet: a model whose weights are frozen, and whose scores are trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai import masks, structures
from tf_pai.layers import PrunableWeight, participating, prunable_layers, walk, weights_of
from tf_pai.layers.graph import output_layers
from tf_pai.layers.rebuilding import compile_like
from tf_pai.registry import METHODS, nearest
from tf_pai.selection.construction import Construction
from tf_pai.selection.frozen import check_kind, frozen_value, scaled
from tf_pai.selection.rule import Rule
from tf_pai.selection.signs import is_rectified
from tf_pai.selection.wrapping import allot, wrap_to_select
from tf_pai.static.checks import check_model, check_randomness, check_sparsity

Weights = dict[str, PrunableWeight]


def select_subnet(
    model: keras.Model,
    method: str | Rule | Construction = "hidden",
    sparsity: float | None = None,
    *,
    weights: str = "signed_constant",
    distribution: Any = None,
    structure: Any = None,
    seed: int | None = None,
) -> keras.Model:
    """Makes a model that selects a subnet when it is trained: w_eff = w0 * h(s), where only the scores s are trained.

    Nothing else is trained: biases, scales and shifts stay what they are. `fit` then trains the scores, `get_masks`
    gives the mask they mean, and `strip` the plain network of the subnet.

    Args:
        model: a built Keras 3 model without masks. Sequential and functional models are rebuilt, and the original is
            untouched; a subclassed model has its layers wrapped, and its weights set, in place.
        method: a name of `tf_pai.list_methods("selection")`, or a rule such as `tf_pai.selection.Hidden(scale=False)`.
            "proving" and "logarithmic" (or `tf_pai.selection.Proving(epsilon=0.2)`) take `model` as the target, and
            find its like in a wide random network, which is returned: nothing is left to train.
        sparsity: fraction of the weights left out, in [0, 1); the papers' k is 1 - sparsity. Default: 0.5, or what an
            N:M structure says. Of "proving" and "logarithmic", the least: what they leave out follows from the target.
        weights: what the weights are frozen at: "signed_constant" (plus or minus the deviation of Kaiming's
            initialization), "kaiming_normal", or "own" for the model's own weights.
        distribution: "uniform" (default: the same k in each layer), "global" (all scores compete, in units of their
            layer's initial bound), or any other, as in `tf_pai.prune_at_init`.
        structure: as in `tf_pai.prune_at_init`.
        seed: of weights and scores; the same seed gives the same network, bit for bit.

    Returns:
        The model whose trainable weights are the scores, compiled anew as `model` was.

    Raises:
        ValueError: a wrong argument, always before anything is changed.
        TypeError: no Keras 3 model.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
        >>> model = tf_pai.select_subnet(model, "hidden", sparsity=0.5, seed=0)
        >>> tf_pai.sparsity(model), len(model.trainable_variables)
        (0.5, 2)
    """
    check_model(model)
    check_randomness(seed, None)
    check_kind(weights)
    rule = _rule(method)
    if isinstance(rule, Construction):
        _refuse(rule, weights=weights, distribution=distribution, structure=structure)
        return subnet_of(model, rule, sparsity, seed)
    pattern = structures.get("unstructured" if structure is None else structure)
    density = 1 - check_sparsity(0.5 if sparsity is None and pattern.density is None else sparsity, pattern)
    if prunable_layers(model):
        raise ValueError("A subnet is selected from a model without masks. Received: a pruned one. tf_pai.strip it.")
    chosen = _chosen(model, rule, pattern)
    keep, shared = allot(chosen, "uniform" if distribution is None else distribution, density)
    seed = int(np.random.randint(2**31)) if seed is None else int(seed)
    origin = {"model": model.name, "weights": weights, "seed": seed}
    selected = wrap_to_select(model, keep, shared, {"rule": rule, "structure": repr(pattern), "origin": origin})
    _set_weights(selected, chosen, keep, weights, rule, seed)
    compile_like(selected, selected)
    return selected


def _refuse(rule: Construction, **options: Any) -> None:
    """Raises ValueError for what a construction does not take."""
    for name, value in options.items():
        if value not in (None, "signed_constant"):
            raise ValueError(
                f"{type(rule).__name__} draws the wide network as its theorem says, and takes single weights. "
                f"Received: {name}={value!r}. Leave it out."
            )


def subnet_of(target: keras.Model, rule: Construction, sparsity: float | None, seed: int | None) -> keras.Model:
    """Returns the wide random network with the masks of the subnet that computes what `target` does."""
    least = check_sparsity(0.0 if sparsity is None else sparsity, structures.get("unstructured"))
    model = rule.build(target, int(np.random.randint(2**31)) if seed is None else int(seed)).model
    if masks.sparsity(model) < least:
        raise ValueError(
            f"{type(rule).__name__} leaves out what the target does not need. Received: sparsity={sparsity!r}, more "
            f"than the {masks.sparsity(model):.4f} that these widths give."
        )
    return model


def _rule(method: Any) -> Rule | Construction:
    if isinstance(method, (Rule, Construction)):
        return method
    names = [name for name in METHODS if METHODS.find(name).track == "selection"]
    if method not in names:
        raise ValueError(
            f"select_subnet takes a method of the track 'selection'. Received: {method!r}."
            f"{nearest(str(method), names)} Valid names: {', '.join(names)}."
        )
    return METHODS.find(method).make()


def _chosen(model: keras.Model, rule: Rule, pattern: structures.Structure) -> Weights:
    """The weights that take part, checked against rule and structure."""
    if not rule.takes_structures and not isinstance(pattern, structures.Unstructured):
        raise ValueError(f"{type(rule).__name__} takes single weights. Received: structure={pattern!r}. Leave it out.")
    if rule.binary_activations and not any(is_rectified(layer) for _, layer in walk(model)):
        raise ValueError(
            f"Binary activations take the place of rectifiers. Received: {model.name!r}, none of whose layers is one, "
            "or ends in one: a function that `call` applies is not seen."
        )
    for path, layer in walk(model):
        if isinstance(layer, keras.layers.SpectralNormalization):
            raise ValueError(
                "The weights that a subnet is selected from are never written. Received: a model with "
                f"SpectralNormalization {path!r}, which writes its kernel in every step. Put the layer it wraps there."
            )
    weights = {path: w for path, w in participating(model).items() if pattern.takes_part(w)}
    if isinstance(pattern, structures.Filter):
        last = {id(layer) for layer in output_layers(model)}
        weights = {path: w for path, w in weights.items() if id(w.owner) not in last}
    if not weights:
        raise ValueError(f"The structure {pattern!r} needs weights it fits. Received: {model.name!r} with none.")
    for weight in weights.values():
        pattern.check(weight)
    return weights


def _set_weights(model: keras.Model, weights: Weights, keep: dict[str, int], kind: str, rule: Rule, seed: int) -> None:
    variables = weights_of(model)
    for i, (path, weight) in enumerate(weights.items()):
        value = frozen_value(weight, kind, np.random.default_rng([seed, i]))
        variables[path].assign(scaled(value, keep[path]) if rule.scales_weights else value)
