"""Every kind of layer and every family of models, through all that happens to a model."""

import copy
import functools
import json
import os
import pickle
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.layers import cases
from tests.layers.support import LOSS, assert_same_outputs, leaks, outputs, random_masks, same_masks, trained
from tf_pai.layers import PrunableLayer, prunable_layers, prunable_weights, weights_of, wrap_model
from tf_pai.layers.paths import is_graph
from tf_pai.testing import FAMILIES

WHOLE_PRODUCT = bool(os.environ.get("TF_PAI_TEST_ALL"))


def _subjects():
    """{name: (function that builds a model, function that gives data, number of masks or None)}.

    Kinds of layers in groups, every second group in a model inside a model; when everything is asked for, each kind by
    itself and in both.
    """
    found = {}
    groups = [(name,) for name in cases.CASES] if WHOLE_PRODUCT else cases.groups()
    for i, names in enumerate(groups):
        for nested in (False, True) if WHOLE_PRODUCT else (i % 2 == 1,):
            masks = sum(cases.CASES[name][2] for name in names) + 1 + nested
            build, data = functools.partial(cases.build, names, nested), functools.partial(cases.data, names)
            found[", ".join(names) + (" (nested)" if nested else "")] = build, data, masks
    for name in FAMILIES:
        family = FAMILIES.find(name)
        found[f"family {name}"] = family.build, family.data, None
    return found


SUBJECTS = _subjects()


@pytest.fixture(scope="module", params=SUBJECTS)
def life(request):
    """A model before it is wrapped, and after it was wrapped, pruned and trained."""
    name = request.param
    build, data, count = SUBJECTS[name]
    keras.utils.set_random_seed(0)
    dense, (x, y) = build(), data()
    _compile(dense)
    twin = _another(dense, build)
    paths = list(weights_of(dense))
    masks, at_first = random_masks(dense), outputs(dense, x)
    wrapped = wrap_model(dense, masks)
    after_wrapping = outputs(wrapped, x)
    model = trained(tf_pai.set_masks(wrapped, masks), x, y)
    return types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "request"})


def _compile(model, **arguments):
    model.compile(**{"optimizer": keras.optimizers.SGD(0.05, momentum=0.9), "loss": LOSS, **arguments})


def _another(model, build):
    """A dense model of the same weights and layer names."""
    twin = keras.models.clone_model(model) if is_graph(model) else build()
    for variable, value in zip(twin.variables, model.variables, strict=True):  # seeds of dropout too
        variable.assign(value)
    return twin


def _clone(life):
    """What Keras makes of the pruned model's configuration, without its weights."""
    clone = keras.models.clone_model(life.model)
    clone(life.x)
    return clone


def test_wrapping_changes_neither_the_outputs_nor_the_paths(life):
    for a, b in zip(keras.tree.flatten(life.after_wrapping), keras.tree.flatten(life.at_first), strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(weights_of(life.model)) == life.paths
    assert list(tf_pai.get_masks(life.model)) == list(life.masks)
    assert life.model.compiled and type(life.model).__name__ == type(life.dense).__name__
    assert life.count in (None, len(life.masks))


def test_a_graph_is_left_untouched_and_a_subclassed_model_is_wrapped_itself(life):
    assert (life.model is life.dense) == (not is_graph(life.dense))
    if is_graph(life.dense):
        assert not prunable_layers(life.dense)
        for variable, other in zip(life.dense.weights, life.twin.weights, strict=True):
            np.testing.assert_array_equal(variable.numpy(), other.numpy())


def test_masks_of_ones_train_as_no_masks_do(life):
    dense, other = _another(life.twin, life.build), _another(life.twin, life.build)
    wrapped = wrap_model(other, life.masks)
    (loss, gradients), (own_loss, own_gradients) = (_gradients(model, life.x, life.y) for model in (dense, wrapped))
    assert loss == own_loss
    for a, b in zip(gradients, own_gradients, strict=True):
        np.testing.assert_array_equal(a, b)
    state = weights_of(wrapped)
    for path, variable in weights_of(dense).items():  # BatchNorm's averages, seeds, the vector of SpectralNormalization
        np.testing.assert_array_equal(variable.numpy(), state[path].numpy())


def _gradients(model, x, y):
    _compile(model)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def test_it_computes_what_the_dense_model_with_zeros_does(life):
    masked = tf_pai.set_masks(_another(life.twin, life.build), life.masks)
    zeroed = _another(life.twin, life.build)
    for path, weight in prunable_weights(zeroed).items():
        weight.variable.assign(weight.variable.numpy() * life.masks[path])
    assert_same_outputs(masked, zeroed, life.x)


def test_saved_and_loaded_it_is_the_same_and_trains_on(life, tmp_path):
    life.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same_outputs(loaded, life.model, life.x)
    assert same_masks(tf_pai.get_masks(loaded), life.masks)
    assert int(loaded.optimizer.iterations) == int(life.model.optimizer.iterations)
    loaded.run_eagerly = True
    trained(loaded, life.x, life.y, epochs=1)


def test_cloned_it_has_masks_and_takes_the_weights_file(life, tmp_path):
    clone = _clone(life)
    assert list(tf_pai.get_masks(clone)) == list(life.masks)
    life.model.save_weights(tmp_path / "own.weights.h5")
    clone.load_weights(tmp_path / "own.weights.h5")
    assert same_masks(tf_pai.get_masks(clone), life.masks) and not leaks(clone)
    assert_same_outputs(clone, life.model, life.x)


def test_set_weights_brings_masks_along(life):
    clone = _clone(life)
    clone.set_weights(life.model.get_weights())
    assert same_masks(tf_pai.get_masks(clone), life.masks)
    assert_same_outputs(clone, life.model, life.x)


def test_a_checkpoint_brings_masks_and_weights_back(life, tmp_path):
    if "subclassed" in life.name:
        pytest.skip("Keras leaves layers in lists and dicts out of tf.train.Checkpoint: see the next test")
    clone = _clone(life)
    path = tf.train.Checkpoint(model=life.model).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=clone).restore(path).assert_existing_objects_matched()
    assert same_masks(tf_pai.get_masks(clone), life.masks)
    assert_same_outputs(clone, life.model, life.x)


def test_a_checkpoint_of_a_subclassed_model_holds_the_masks(tmp_path):
    family = FAMILIES.find("subclassed")
    model = family.build()
    tf_pai.set_masks(model, random_masks(model))
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    names = [name.split("/.ATTRIBUTES")[0] for name, _ in tf.train.list_variables(path)]
    assert {"model/stem/mask_0", "model/head/mask_0", "model/pair/0/mask_0", "model/mixer/mask_0"} <= set(names)
    masks, stem = tf_pai.get_masks(model), model.stem.kernel.numpy()
    tf_pai.set_masks(model, {path: ~mask for path, mask in masks.items()})
    tf.train.Checkpoint(model=model).restore(path)
    np.testing.assert_array_equal(tf_pai.get_masks(model)["stem/kernel"], masks["stem/kernel"])
    np.testing.assert_array_equal(model.stem.kernel.numpy(), stem)


def test_exported_it_serves_the_same_outputs(life, tmp_path):
    life.model.export(tmp_path / "served", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    served = loaded.serve(keras.tree.map_structure(tf.constant, life.x))
    for a, b in zip(keras.tree.flatten(served), keras.tree.flatten(outputs(life.model, life.x)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_the_same_masks_and_outputs(life, duplicate):
    if not life.name.startswith("family"):
        pytest.skip("Keras copies any model through its own file format: a matter of families, not of layers")
    other = duplicate(life.model)
    assert same_masks(tf_pai.get_masks(other), life.masks)
    assert_same_outputs(other, life.model, life.x)


def test_stripped_it_is_a_plain_model_of_the_same_outputs(life, tmp_path):
    at_last = outputs(life.model, life.x)
    plain = tf_pai.strip(_copy_if_in_place(life))
    for a, b in zip(keras.tree.flatten(outputs(plain, life.x)), keras.tree.flatten(at_last), strict=True):
        np.testing.assert_array_equal(a, b)
    assert type(plain) is type(life.twin) and plain.compiled
    assert prunable_layers(life.model) and not prunable_layers(plain)
    assert not any(isinstance(layer, PrunableLayer) for layer in plain._flatten_layers())
    assert "tf_pai>" not in json.dumps(plain.get_config(), default=str)
    constraints = [type(variable.constraint) for variable in plain.variables]
    assert constraints == [type(variable.constraint) for variable in life.twin.variables]
    plain.save(tmp_path / "plain.keras")
    assert_same_outputs(keras.models.load_model(tmp_path / "plain.keras"), plain, life.x)


def _copy_if_in_place(life):
    return life.model if is_graph(life.model) else copy.deepcopy(life.model)
