"""Each ticket method from end to end on a small network, and its own rule by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.oracle.nets import golden
from tests.tickets.test_find import Refuse, find, plain_model, same
from tests.training.models import small_data
from tf_pai.layers import weights_of
from tf_pai.tickets.e_lth import sources_of
from tf_pai.tickets.early_bird import channel_masks, distance, emerges
from tf_pai.tickets.lifelong import sequence
from tf_pai.tickets.rounding import Rounded
from tf_pai.tickets.stretching import stretched

LAYERS = keras.layers


def other_data() -> tuple:
    x, y = small_data()
    return x[::-1].copy(), y


def deep_model(blocks: int, width: int = 6) -> keras.Model:
    """A residual network of dense blocks."""
    keras.utils.set_random_seed(blocks)
    inputs = x = keras.Input((6,))
    for block in range(1, blocks + 1):
        y = LAYERS.Dense(width, activation="relu", name=f"stage1_block{block}_fc")(x)
        x = LAYERS.Add(name=f"stage1_block{block}_add")([x, y]) if width == 6 else y
    model = keras.Model(inputs, LAYERS.Dense(3, name="head")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], run_eagerly=True)
    return model


def arguments(method: str) -> dict:
    """What the method needs beyond the data."""
    return {
        "one_ticket": {"options": {"source": other_data()}},
        "pretraining": {"options": {"source": other_data()}},
        "lifelong": {"options": {"tasks": [other_data()]}},
        "e_lth": {"model": deep_model(3), "options": {"source_model": deep_model(2)}},
        "early_bird": {"options": {"every": "1it", "window": 2}},
    }.get(method, {})


NAMES = [info.name for info in tf_pai.list_methods("tickets")]


@pytest.mark.parametrize("method", NAMES)
def test_every_method_finds_a_ticket_and_finds_it_again(method, tmp_path):
    first = find(0.5, method=method, rounds=2, run_dir=tmp_path, **arguments(method))
    assert tf_pai.verify(first.model) and first.history and first.method == method
    if method not in ("e_lth", "early_bird"):  # theirs is that of the source, and a fraction of channels
        assert first.density == pytest.approx(0.5, abs=0.01)
    weights = {path: variable.numpy() for path, variable in weights_of(first.model).items()}
    for path, value in weights.items():
        assert np.array_equal(value, first.initial_weights[path] * first.masks.get(path, 1)), path
    again = find(0.5, method=method, rounds=2, run_dir=tmp_path, **{
        **arguments(method), "callbacks": lambda name: [Refuse()]
    })  # fmt: skip
    assert same(first.masks, again.masks) and same(first.initial_weights, again.initial_weights)
    history = first.model.fit(*small_data(), verbose=0)
    assert np.isfinite(history.history["loss"][0]) and tf_pai.verify(first.model)


def test_learning_rate_rewinding_keeps_the_trained_weights():
    kept = find(0.5, method="lth_plus", rounds=1, options={"rewind": "learning_rate"})
    reset = find(0.5, method="lth_plus", rounds=1)
    assert same(kept.masks, reset.masks) and kept.step == reset.step == 2
    assert not np.array_equal(kept.initial_weights["one/kernel"], reset.initial_weights["one/kernel"])
    with pytest.raises(ValueError, match=r"rewind is one of weights, learning_rate. Received: rewind='weight'"):
        find(0.5, method="lth_plus", options={"rewind": "weight"})


def test_a_ticket_moves_without_the_head():
    model = plain_model()
    ticket = find(0.5, method="one_ticket", model=model, options={"source": other_data(), "source_classes": 5})
    on_source = find(0.5, exclude="two", distribution="global", model=plain_model(), data=other_data())
    assert list(ticket.masks) == ["one/kernel"]
    assert np.array_equal(ticket.initial_weights["two/kernel"], model.get_layer("two").kernel.numpy())
    assert set(ticket.masks) == set(on_source.masks)
    with pytest.raises(ValueError, match=r"'one_ticket' needs the data of the task .* Pass options=\{'source'"):
        find(0.5, method="one_ticket")


def test_pretraining_by_rotation_needs_square_images():
    with pytest.raises(ValueError, match=r"Square images .* Received: an array of shape \(20, 6\)"):
        find(0.5, method="pretraining", options={"source": small_data(), "task": "rotation"})
    with pytest.raises(ValueError, match=r"is one of supervised, rotation. Received: task='rotate'"):
        find(0.5, method="pretraining", options={"source": small_data(), "task": "rotate"})


def test_lifelong_from_the_bottom_grows_and_from_the_top_shrinks():
    grown = find(0.5, method="lifelong", options={"tasks": [other_data()]})
    assert [level["density"] for level in grown.history] == [0.25, 0.5]
    shrunk = find(0.5, method="lifelong", rounds=2, options={"tasks": [other_data()], "direction": "top_down"})
    assert [level["density"] for level in shrunk.history] == [1.0, pytest.approx(0.5**0.5, abs=0.01)]
    with pytest.raises(ValueError, match=r"bottom_up, top_down. Received: direction='up'"):
        find(0.5, method="lifelong", options={"tasks": [other_data()], "direction": "up"})


def test_a_sequence_keeps_a_part_of_what_came_before():
    tasks = [(np.full(10, task), np.full(10, task)) for task in range(3)]
    seen = sequence(tasks, 0.2, seed=0)
    assert [[int((y == task).sum()) for task in range(3)] for _, y in seen] == [[10, 0, 0], [2, 10, 0], [2, 2, 10]]
    with pytest.raises(ValueError, match="memory is a fraction"):
        sequence(tasks, 2, seed=0)
    with pytest.raises(ValueError, match=r"are arrays \(x, y\)"):
        sequence([lambda epoch: None], 0.1, seed=0)


def test_blocks_are_stretched_in_turn_and_squeezed_from_the_end():
    """Depth 3 -> 6: blocks 1 2 3 2 3 2; depth 3 -> 2: blocks 1 2."""
    for depth, expected in ((6, [1, 2, 3, 2, 3, 2]), (2, [1, 2])):
        sources = sources_of(deep_model(depth), deep_model(3), r"(stage\d+)_block(\d+)")
        kernels = [source for path, source in sources.items() if path.endswith("fc/kernel")]
        assert kernels == [f"stage1_block{number}_fc/kernel" for number in expected]
    with pytest.raises(ValueError, match=r"within a family of networks. Received: 'stage1_block1_fc/kernel'"):
        sources_of(deep_model(3, width=5), deep_model(3), r"(stage\d+)_block(\d+)")


def test_a_stretched_ticket_is_a_copy_of_its_blocks():
    ticket = find(0.5, method="e_lth", model=deep_model(3), rounds=1, options={"source_model": deep_model(2)})
    first, second, third = (ticket.masks[f"stage1_block{n}_fc/kernel"] for n in (1, 2, 3))
    assert np.array_equal(second, third) and not np.array_equal(first, second)


def test_early_bird_masks_and_distances_of_the_authors():
    """Of 14 epochs: the masks, their distances from the newest of the up to four before it, and whether it emerges."""
    stored = golden("early_bird.npz")
    ends = np.cumsum(stored["layer_sizes"])[:-1]
    for sparsity in (0.3, 0.5, 0.7):
        case = {key: stored[f"p{sparsity}/{key}_per_epoch"] for key in ("gamma", "mask", "dists")}
        window: list = []
        for epoch, gammas in enumerate(case["gamma"]):
            masks = channel_masks(np.split(gammas, ends), sparsity)
            assert np.array_equal(np.concatenate(masks), case["mask"][epoch].astype(bool))
            distances = [distance(earlier, masks) for earlier in window]
            assert emerges(distances, 5, 0.1) == stored[f"p{sparsity}/emerged"][epoch]
            if len(distances) == 4:
                assert np.allclose(distances, case["dists"][epoch])
            window = [*window, masks][-4:]


def test_early_bird_stops_when_the_channels_agree():
    ticket = find(0.5, method="early_bird", options={"every": "1it", "window": 2, "distance": 1.0})
    assert [(level["step"], level["found"]) for level in ticket.history] == [(1, False), (2, True)]
    kept = ticket.masks["norm/gamma"]
    assert np.array_equal(ticket.masks["one/kernel"], np.broadcast_to(kept, (6, 8)))
    assert np.array_equal(ticket.masks["one/bias"], kept) and kept.sum() in (3, 4)
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(4), LAYERS.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no BatchNormalization follows a layer"):
        find(0.5, method="early_bird", model=model)


def test_a_search_in_few_bits():
    ticket = find(0.5, method="early_bird", options={"every": "1it", "window": 2, "distance": 1.0, "bits": 3})
    kernel = ticket.initial_weights["two/kernel"]
    units = kernel / np.abs(kernel).max() * 3
    assert np.allclose(units, np.round(units), atol=1e-5) and len(np.unique(np.round(units))) <= 7


def test_stochastic_rounding_keeps_the_mean():
    weight = tf.concat([tf.fill([20000], 0.3), [1.0]], 0)
    values = Rounded(2, 1, tf.Variable(5))(weight).numpy()
    assert set(values.tolist()) == {0.0, 1.0} and abs(values[:-1].mean() - 0.3) < 0.02
    with pytest.raises(ValueError, match="2 bits or more. Received: bits=1"):
        Rounded(1, 0, tf.Variable(0))


def test_the_growing_penalty_empties_what_will_be_removed():
    weak, strong = (find(0.5, method="dlth", options={"growth": growth, "every": 1}) for growth in (1e-9, 1.0))
    assert same(weak.masks, strong.masks)
    assert strong.history[0]["mean outside"] < 0.8 * weak.history[0]["mean outside"]
    with pytest.raises(ValueError, match="are positive; data of unknown length need growth. Received: growth=0"):
        find(0.5, method="dlth", options={"growth": 0})


def test_a_critical_set_is_a_part_of_the_data():
    ticket = find(0.5, method="prac", rounds=2)
    assert ticket.history[0]["examples"] == 20 and 0 < ticket.history[1]["examples"] <= 20
    with pytest.raises(ValueError, match=r"chosen from arrays \(x, y\)"):
        find(0.5, method="prac", data=lambda epoch: tf.data.Dataset.from_tensors(small_data()))


def test_schedules_are_stretched_where_their_steps_are_known():
    drops = keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    assert stretched(keras.saving.serialize_keras_object(drops), 2)["config"]["boundaries"] == [20, 40]
    assert stretched(0.1, 2) == 0.1
    with pytest.raises(ValueError, match="can be stretched. Received: Mine with every"):
        stretched({"class_name": "Mine", "config": {"every": 3}}, 2)
