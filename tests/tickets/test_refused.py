"""What find_ticket refuses before anything is trained, and what it does with unusual models and data."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.tickets.test_find import find, plain_model, same
from tests.tickets.test_methods import arguments, deep_model, other_data
from tests.tickets.test_optimizers import subclassed
from tests.training.models import Parts, small_data
from tf_pai.tickets import Bench, Routine
from tf_pai.tickets.stretching import stretched, stretched_bench

LAYERS = keras.layers


def test_a_pruned_model():
    """Its pruned weights would come back."""
    pruned = tf_pai.prune_at_init(plain_model(), "magnitude", 0.5, seed=0, verbose=0)
    with pytest.raises(ValueError, match=r"found in a dense network. Received: .* of which 'one/kernel' is pruned"):
        find(0.75, pruned)


@pytest.mark.parametrize("method", ["dlth", "early_bird", "lifelong", "prac", "pretraining"])
def test_methods_without_rewinding(method):
    with pytest.raises(ValueError, match=f"'{method}' says itself .* Received: rewind_to='1ep'"):
        find(0.5, method=method, rewind_to="1ep", **arguments(method))


@pytest.mark.parametrize("method", ["lth", "lifelong", "early_bird"])
def test_a_training_that_diverges(method):
    model = plain_model(optimizer=keras.optimizers.SGD(1e30))
    with pytest.raises(ValueError, match="NaN or infinite values in 'one/kernel' after training. Lower"):
        find(0.5, model, method=method, rounds=2, **arguments(method))


def test_a_step_within_an_epoch_of_a_pydataset():
    assert find(0.5, data=Parts(), rounds=1, rewind_to="1ep").step == 2
    with pytest.raises(ValueError, match="divides arrays or a tf.data.Dataset. Received: Parts at step 1"):
        find(0.5, data=Parts(), rounds=1, rewind_to="1it")


def test_layers_with_a_sparsity_of_their_own_get_there_over_the_rounds():
    """To 1/4 of 48 and 1/2 of 24 weights in two rounds: half of 48 and .71 of 24 are left after the first."""
    ticket = find(0.75, distribution={"one/*": 0.75, "two/*": 0.5}, rounds=2)
    kept = [{path: int(mask.sum()) for path, mask in ticket.masks_at(level).items()} for level in (1, 2)]
    assert kept == [{"one/kernel": 24, "two/kernel": 17}, {"one/kernel": 12, "two/kernel": 12}]


@pytest.mark.parametrize("method", ["dlth", "lifelong", "one_ticket", "prac", "pretraining"])
def test_filters_go_with_their_biases_in_every_method(method):
    ticket = find(0.5, method=method, structure="filter", rounds=2, **arguments(method))
    kept = ticket.masks["one/kernel"].any(0)
    assert kept.sum() == 4 and all(np.array_equal(ticket.masks[p], kept) for p in ("one/bias", "norm/gamma"))


def test_a_stretched_ticket_prunes_what_takes_part():
    options = {"method": "e_lth", "rounds": 1, "options": {"source_model": deep_model(2)}}
    ticket = find(0.5, model=deep_model(3), exclude="head", **options)
    assert ticket.density == 0.5 and "head/kernel" not in ticket.masks
    filters = find(0.5, model=deep_model(3), structure="filter", **options)
    kept = filters.masks["stage1_block3_fc/kernel"].any(0)
    assert not kept.all() and np.array_equal(filters.masks["stage1_block3_fc/bias"], kept)


def test_the_start_of_a_source_model_is_remembered(tmp_path):
    found = []
    for shift in (0.0, 0.5):
        source = deep_model(2)
        for weight in source.weights:
            weight.assign(weight + shift)
        found.append(find(0.5, deep_model(3), method="e_lth", run_dir=tmp_path, options={"source_model": source}))
    assert same(found[0].masks, found[1].masks) and same(found[0].initial_weights, found[1].initial_weights)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("source_model 'functional.*', not compiled", {"source": other_data(), "source_model": "uncompiled"}),
        ("copy of a Sequential or functional model. Received: Subclassed. Pass source_model", {"source": other_data()}),
    ],
)
def test_source_models(text, options):
    if "source_model" in options:
        model = deep_model(2)
        options = {**options, "source_model": keras.Model(model.inputs, model.outputs)}
    with pytest.raises(ValueError, match=text):
        find(0.5, deep_model(2) if "source_model" in options else subclassed(), method="one_ticket", options=options)


def test_a_head_inside_a_nested_model():
    inner = keras.Sequential([keras.Input((6,)), LAYERS.Dense(5), LAYERS.Dense(3, name="b")])
    inputs = keras.Input((6,))
    model = keras.Model(inputs, inner(inputs))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"one Dense layer of the model itself. Received: output layers \['b'\]"):
        find(0.5, model, method="one_ticket", options={"source": other_data(), "source_classes": 4})


@pytest.mark.parametrize("option", [{"every": "9ep"}, {"every": 0}, {"window": 1}, {"distance": "small"}, {"l1": -1}])
def test_early_birds_that_never_hatch(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"Received: {name}="):
        find(0.5, method="early_bird", options=option)


def test_early_birds_are_drawn_once_between_calls_of_several_steps():
    model = plain_model(steps_per_execution=3)
    model.run_eagerly = False
    ticket = find(0.5, model, method="early_bird", epochs=3, options={"every": "2it", "distance": -1}, batch_size=5)
    assert [level["step"] for level in ticket.history] == [3, 4, 7, 8, 11, 12]  # epochs of four steps: three, and one


def test_a_layer_without_channels_is_named():
    with pytest.warns(UserWarning, match="nothing left in one/kernel"):
        find(0.9, method="early_bird", options={"every": "1it", "window": 2, "distance": 1.0})


def test_tasks_are_a_list():
    with pytest.raises(ValueError, match=r"tasks is a list of arrays \(x, y\). Received: tasks=5"):
        find(0.5, method="lifelong", options={"tasks": 5})


def test_fewer_levels_than_tasks():
    with pytest.raises(ValueError, match="Received: 1 levels for 2 tasks"):
        find(0.5, method="lifelong", rounds=1, options={"tasks": [other_data()], "direction": "top_down"})


@pytest.mark.parametrize("shape", ["column", "one-hot"])
def test_labels_of_every_shape_have_a_critical_set(shape):
    (x, y), model = small_data(), plain_model()
    labels = y[:, None] if shape == "column" else np.eye(3, dtype="float32")[y]
    if shape == "one-hot":
        model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)
    ticket = find(0.5, model, method="prac", rounds=2, data=(x, labels), validation_data=None)
    assert 0 < ticket.history[1]["examples"] <= 20


def test_where_no_example_is_critical_all_are_used():
    x, _ = small_data()
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3, kernel_initializer="zeros")])
    rate = keras.optimizers.schedules.CosineDecay(1e-3, 8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, run_eagerly=True)
    ticket = find(0.5, model, method="prac", rounds=2, data=(x, np.zeros(20, "int32")), validation_data=None)
    assert [level["examples"] for level in ticket.history] == [20, 20]


def test_one_output_has_no_largest():
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"largest of several outputs. Received: .* of shape \(2, 1\)"):
        find(0.5, model, method="prac")


def test_schedules_behind_loss_scaling_and_of_no_step():
    rate = keras.optimizers.schedules.CosineDecay(0.1, 40)
    model = plain_model(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(rate)))
    bench = stretched_bench(Bench(model, Routine(small_data(), 1, None, 10), []), 0.5)
    assert bench.model.optimizer.inner_optimizer._learning_rate.decay_steps == 20
    short = stretched(keras.saving.serialize_keras_object(rate), 0.001)
    assert short["config"]["decay_steps"] == 1


def test_other_shares_of_the_losses_are_another_training(tmp_path):
    losses = []
    for share in (1.0, 5.0):
        model = plain_model()
        model.compile("sgd", model.loss, loss_weights=[share], run_eagerly=True)
        losses.append(find(0.5, model, rounds=1, validation_data=None, run_dir=tmp_path).history[0]["loss"])
    assert losses[1] > 3 * losses[0]


def test_bfloat16_goes_on(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        first, again = (find(0.5, rounds=1, run_dir=tmp_path) for _ in range(2))
    finally:
        keras.config.set_dtype_policy("float32")
    assert same(first.masks, again.masks) and first.history == again.history


def test_a_refused_call_leaves_the_folder_to_the_next(tmp_path):
    for name, options in (("rewind_to", {"rewind_to": "500it"}), ("data", {"data": iter([])})):
        with pytest.raises((ValueError, TypeError)):
            find(0.5, rounds=1, run_dir=tmp_path / name, **options)
        assert not (tmp_path / name).exists()
    ticket = find(0.5, rounds=1, run_dir=tmp_path / "rewind_to")
    with pytest.raises(ValueError, match="belongs to one run"):
        find(0.5, rounds=1, run_dir=tmp_path / "rewind_to", rewind_to="500it")
    assert tf_pai.verify(ticket.model) and (tmp_path / "rewind_to" / "ticket.json").exists()
