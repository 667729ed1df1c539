"""PrunableLayer seen from outside: a layer like the one it wraps, whatever users do with layers."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.layers.cases import BlockOfLayers
from tests.layers.support import LOSS, pruned, random_masks, same_masks, trained
from tf_pai.layers import PrunableLayer
from tf_pai.masks import masked_weights

L = keras.layers


def perceptron():
    keras.utils.set_random_seed(0)
    layers = [L.Dense(8, activation="relu", name="fc1"), L.Dense(3, name="fc2")]
    return keras.Sequential([keras.Input((6,)), *layers])


def convnet():
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(6, 3, name="conv"), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3, name="fc")]
    return keras.Sequential([keras.Input((6, 6, 2)), *layers])


def vectors(examples=32, features=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal((examples, features)).astype("float32"), rng.integers(0, 3, examples)


def images(examples=16):
    rng = np.random.default_rng(0)
    return rng.standard_normal((examples, 6, 6, 2)).astype("float32"), rng.integers(0, 3, examples)


# Attributes.


def test_attributes_are_those_of_the_inner_layer():
    model = pruned(convnet())
    layer = model.get_layer("conv")
    assert isinstance(layer, PrunableLayer)
    assert layer.filters == 6 and layer.kernel.shape == (3, 3, 2, 6) and layer.kernel_size == (3, 3)
    assert layer.count_params() == 3 * 3 * 2 * 6 * 2 + 6  # the masks are weights too
    assert len(layer.trainable_weights) == 2 and len(layer.non_trainable_weights) == 1
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = layer.nothing_like_this


def test_an_attribute_that_is_set_is_set_on_the_inner_layer():
    model, (x, _) = pruned(convnet()), images()
    layer = model.get_layer("conv")
    layer.activation = keras.activations.relu
    assert layer.layer.activation is keras.activations.relu
    assert keras.Model(model.inputs, layer.output)(x).numpy().min() == 0


def test_variables_have_the_paths_they_had():
    """Optimizers choose weights by them: what gets no decay, what MultiOptimizer gives to which optimizer."""
    dense = convnet()
    model = pruned(dense)
    paths = [variable.path for variable in model.trainable_variables]
    assert paths == [variable.path for variable in dense.trainable_variables]
    assert masked_weights(model)["conv/kernel"][1].path.endswith("conv/mask")


def test_weight_decay_can_be_kept_from_a_wrapped_layer():
    model = pruned(perceptron())
    kernels = [layer.kernel for layer in model.layers]
    optimizer = keras.optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["fc1/kernel"])
    before = [kernel.numpy() for kernel in kernels]
    optimizer.apply([np.zeros(kernel.shape, "float32") for kernel in kernels], kernels)
    np.testing.assert_array_equal(kernels[0].numpy(), before[0])
    np.testing.assert_allclose(kernels[1].numpy(), before[1] / 2)


def test_summary_and_plots_of_the_graph_show_the_layer_by_its_name():
    lines = []
    pruned(convnet()).summary(print_fn=lambda text, **_: lines.append(text))
    assert "conv" in "\n".join(lines)


# Freezing.


def test_a_frozen_layer_keeps_its_masks_through_a_file_and_trains_again(tmp_path):
    model, (x, y) = pruned(convnet()), images()
    layer = model.get_layer("conv")
    layer.trainable = False
    assert not layer.layer.trainable and not layer.kernel.trainable
    masks = tf_pai.get_masks(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert same_masks(tf_pai.get_masks(loaded), masks)
    loaded.get_layer("conv").trainable = True
    loaded.compile("adam", LOSS)
    trained(loaded, x, y)


def test_a_frozen_layer_stays_dense():
    dense = convnet()
    dense.get_layer("conv").trainable = False
    assert list(tf_pai.get_masks(tf_pai.prune_at_init(dense, "magnitude", 0.5))) == ["fc/kernel"]


# By hand.


def test_wrapped_by_hand_anywhere_in_a_model():
    model = keras.Sequential([keras.Input((6,)), PrunableLayer(L.Dense(5)), PrunableLayer(L.Dense(3, name="last"))])
    masks = tf_pai.get_masks(model)
    assert list(masks) == ["dense/kernel", "last/kernel"] or list(masks)[1] == "last/kernel"
    assert all(mask.all() for mask in masks.values()) and tf_pai.sparsity(model) == 0
    tf_pai.set_masks(model, random_masks(model))
    model.compile("adam", LOSS)
    trained(model, *vectors())


def test_a_layer_built_at_its_first_call():
    layer = PrunableLayer(L.MultiHeadAttention(2, 4))
    layer(np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32"), use_causal_mask=False)
    assert list(layer.get_masks()) == [f"{name}/kernel" for name in ("query", "key", "value", "attention_output")]


def test_chosen_weights_of_a_layer():
    layer = PrunableLayer(L.LSTM(3), pruned=(1,))
    layer(np.ones((1, 4, 2), "float32"))
    assert list(layer.get_masks()) == ["cell/recurrent_kernel"]


def test_only_plain_layers_are_wrapped():
    with pytest.raises(ValueError, match=r"wraps a plain layer\. Received: a PrunableLayer\. Wrap `layer.layer`"):
        PrunableLayer(PrunableLayer(L.Dense(2)))


def test_masks_of_one_layer():
    layer = PrunableLayer(L.Dense(2))
    layer.build((None, 3))
    mask = np.array([[1, 0], [0, 1], [1, 1]])
    layer.set_masks({"kernel": mask})
    np.testing.assert_array_equal(layer.get_masks()["kernel"], mask.astype(bool))
    assert not layer.kernel.numpy()[mask == 0].any()


# State, losses, and Keras' stateless ways.


def test_a_block_keeps_its_state_and_its_losses():
    inputs = keras.Input((7,))
    model = pruned(keras.Model(inputs, L.Dense(3)(BlockOfLayers(name="block")(inputs))), optimizer="sgd")
    block = model.get_layer("block")
    mean, seed = block.norm.moving_mean.numpy(), block.dropout.seed_generator.state.numpy()
    x, y = vectors(features=7)
    trained(model, x, y)
    assert (block.norm.moving_mean.numpy() != mean).any()
    assert (block.dropout.seed_generator.state.numpy() != seed).any()
    model(x, training=True)
    assert len(model.losses) == 1


def test_a_stateless_call_leaves_the_model_as_it_is():
    model, (x, _) = pruned(convnet()), images()
    states = [[v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)]
    outputs, new = model.stateless_call(*states, x, training=True)
    moving = next(i for i, v in enumerate(model.non_trainable_variables) if v.name == "moving_mean")
    assert np.any(new[moving].numpy() != 0) and not np.any(model.non_trainable_variables[moving].numpy())
    np.testing.assert_allclose(outputs, model(x, training=True), rtol=1e-5)


def test_rematerialisation():
    with keras.RematScope(mode="full"):
        dense = convnet()
    trained(pruned(dense, optimizer="adam"), *images())


def test_a_model_of_pruned_parts_shares_their_masks():
    model, (x, _) = pruned(convnet()), images()
    features = keras.Model(model.inputs, model.get_layer("conv").output)
    assert list(tf_pai.get_masks(features)) == ["conv/kernel"]
    assert features(x).shape == (16, 4, 4, 6)


# What users carry over.


def test_loss_metrics_and_step_of_a_compiled_model_are_carried_over():
    def own_loss(y, logits):
        return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)

    x, y = vectors()
    dense = perceptron()
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 10)
    dense.compile(keras.optimizers.Adam(schedule), own_loss, metrics=[lambda y, logits: keras.ops.mean(logits)])
    dense.fit(x, y, verbose=0)
    model = pruned(dense)
    assert int(model.optimizer.iterations) == int(dense.optimizer.iterations) == 1
    assert model.optimizer is not dense.optimizer
    trained(model, x, y)
    assert int(dense.optimizer.iterations) == 1


def test_moments_from_before_are_zero_where_weights_are_pruned():
    x, y = vectors()
    dense = perceptron()
    dense.compile(keras.optimizers.Adam(0.01), LOSS)
    dense.fit(x, y, verbose=0)
    model = pruned(dense)
    index = model.optimizer._get_variable_index(model.get_layer("fc1").kernel)
    moments, mask = model.optimizer._momentums[index].numpy(), tf_pai.get_masks(model)["fc1/kernel"]
    assert not moments[~mask].any() and moments[mask].any()
    assert dense.optimizer._momentums[index].numpy()[~mask].any()


def test_pruned_further_other_masks_stay_and_wrapped_layers_get_more():
    lstm = keras.Sequential([keras.Input((6, 3)), L.LSTM(4, name="lstm"), L.Dense(3, name="fc")])
    first = tf_pai.prune_at_init(lstm, "magnitude", 0.5, include="lstm/cell/kernel")
    second = tf_pai.prune_at_init(first, "magnitude", 0.5, include="fc")
    third = tf_pai.prune_at_init(second, "magnitude", 0.5, include="lstm/cell/recurrent_kernel")
    masks = tf_pai.get_masks(third)
    assert list(masks) == ["lstm/cell/kernel", "lstm/cell/recurrent_kernel", "fc/kernel"]
    assert all(mask.mean() == 0.5 for mask in masks.values())
    assert same_masks(tf_pai.get_masks(first), {"lstm/cell/kernel": masks["lstm/cell/kernel"]})
    third.compile("adam", LOSS)
    rng = np.random.default_rng(0)
    trained(third, rng.standard_normal((16, 6, 3)), rng.integers(0, 3, 16))
