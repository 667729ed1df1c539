"""Ticket files: what comes back is what was saved, bit for bit, and a seed takes the place of values."""

import dataclasses
import functools
import json
import logging
import operator

import keras
import numpy as np
import pytest

import tf_pai
from tests.selection.test_select import METHODS, Subclassed, batch, conv_net, dense_net, select
from tf_pai.layers import weights_of


@dataclasses.dataclass
class Ticket:
    model: keras.Model
    masks: dict
    initial_weights: dict


def values(model):
    return {path: variable.numpy() for path, variable in weights_of(model).items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[path], other[path]) for path in one)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{}, {"weights": "kaiming_normal", "distribution": "global"}, {"weights": "own"}])
def test_a_selected_network_comes_back_from_seed_and_mask(method, options, tmp_path):
    plain, (x, y) = dense_net(), batch()
    model = select(plain, method, **options)
    model.fit(x, y, epochs=2, verbose=0)
    size = tf_pai.save_ticket(model, tmp_path / "ticket.npz")
    loaded = tf_pai.load_ticket(plain, tmp_path / "ticket.npz")
    assert same(values(loaded), values(model)) and same(tf_pai.get_masks(loaded), tf_pai.get_masks(model))
    assert np.array_equal(loaded(x), model(x))
    assert size.masks == 128 // 8 + 48 // 8 and size.file == (tmp_path / "ticket.npz").stat().st_size
    assert size.weights == (4 * (128 + 48) if options.get("weights") == "own" else 0)


def test_scores_that_come_back_mean_the_same_masks_and_can_be_trained(tmp_path):
    plain = conv_net()
    for number, options in enumerate(({}, {"structure": "filter"}, {"structure": "2:4"}, {"distribution": "global"})):
        model = select(plain, **options)
        model.fit(*batch((6, 6, 4)), epochs=1, verbose=0)
        tf_pai.save_ticket(model, tmp_path / f"{number}.npz")
        loaded = tf_pai.load_ticket(plain, tmp_path / f"{number}.npz")
        masks = tf_pai.get_masks(loaded)
        for layer in loaded.layers:
            if hasattr(layer, "scores"):
                layer.project()
        assert same(tf_pai.get_masks(loaded), masks) and same(masks, tf_pai.get_masks(model))
        assert same(values(loaded), values(model))  # moving statistics too
    loaded.compile("adam", "mse")
    loaded.fit(np.ones((4, 6, 6, 4)), np.ones((4, 3)), verbose=0)
    assert {v.name for v in loaded.trainable_variables} == {"scores"}


def test_a_ticket_gives_back_initial_weights_and_masks(tmp_path):
    plain = dense_net()
    pruned = tf_pai.prune_at_init(plain, "magnitude", 0.75, seed=0)
    ticket = Ticket(pruned, tf_pai.get_masks(pruned), values(pruned))
    pruned.compile("adam", "mse")
    pruned.fit(np.ones((8, 8)), np.ones((8, 3)), epochs=2, verbose=0)
    size = tf_pai.save_ticket(ticket, tmp_path / "ticket.npz")
    loaded = tf_pai.load_ticket(plain, tmp_path / "ticket.npz")
    assert same(values(loaded), ticket.initial_weights) and same(tf_pai.get_masks(loaded), ticket.masks)
    assert tf_pai.verify(loaded)
    assert size.weights == 4 * (32 + 12)  # the kept ones; biases are what their initializer makes
    assert size.dense == 4 * (128 + 16 + 48 + 3)


def test_weights_that_an_initializer_gives_back_are_stored_as_its_seed(tmp_path):
    start = keras.initializers.HeNormal(seed=3)
    plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, kernel_initializer=start, name="fc")])
    pruned = tf_pai.prune_at_init(plain, "random", 0.5, seed=0)
    assert tf_pai.save_ticket(pruned, tmp_path / "ticket.npz").weights == 0
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc")])
    assert same(values(tf_pai.load_ticket(other, tmp_path / "ticket.npz")), values(pruned))


def test_subclassed_models(tmp_path):
    plain, other = Subclassed(), Subclassed()
    x, _ = batch()
    plain(x), other(x)
    model = select(plain)
    tf_pai.save_ticket(model, tmp_path / "ticket.npz")
    assert np.array_equal(tf_pai.load_ticket(other, tmp_path / "ticket.npz")(x), model(x))


def test_other_names_are_matched_by_order_and_shape(tmp_path, caplog):
    def net(name):
        return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name=name), keras.layers.Dense(2)])

    model, x = select(net("one")), batch()[0]
    tf_pai.save_ticket(model, tmp_path / "ticket.npz")
    with caplog.at_level(logging.WARNING, "tf_pai"):
        loaded = tf_pai.load_ticket(net("two"), tmp_path / "ticket.npz")
    assert "matched by order and shape" in caplog.text
    assert np.array_equal(loaded(x), model(x))


def test_errors(tmp_path):
    file = tmp_path / "ticket.npz"
    with pytest.raises(ValueError, match=r"A ticket has masks. Received: .* without any"):
        tf_pai.save_ticket(dense_net(), file)
    with pytest.raises(TypeError, match="Received: str. Pass what find_ticket or select_subnet returned"):
        tf_pai.save_ticket("ticket", file)
    assert not file.exists()
    model = select(dense_net())
    tf_pai.save_ticket(model, file)
    with pytest.raises(ValueError, match=r"architecture it was found in. Received: .*'conv/kernel'|'fc1/kernel'"):
        tf_pai.load_ticket(conv_net(), file)
    with pytest.raises(ValueError, match="without masks. Received: a pruned one"):
        tf_pai.load_ticket(model, file)
    with pytest.raises(FileNotFoundError):
        tf_pai.load_ticket(dense_net(), tmp_path / "none.npz")
    whole, half = file.read_bytes(), file.stat().st_size // 2
    for damaged in (b"", whole[:100], whole[:-30], whole[:half] + bytes(40) + whole[half + 40 :]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="file that tf_pai.save_ticket wrote"):
            tf_pai.load_ticket(dense_net(), file)
    np.savez(tmp_path / "masks.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="file that tf_pai.save_ticket wrote"):
        tf_pai.load_ticket(dense_net(), tmp_path / "masks.npz")


def _entries(value, path=()):
    """(path) of everything in a header."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from _entries(item, (*path, key))


def test_a_header_that_was_changed(tmp_path):
    file, plain = tmp_path / "ticket.npz", dense_net()
    tf_pai.save_ticket(select(plain), file)
    arrays = dict(np.load(file))
    header = json.loads(str(arrays.pop("header")))
    for path in _entries(header):
        for value in (None, -1, "other"):
            changed = json.loads(json.dumps(header))
            place = functools.reduce(operator.getitem, path[:-1], changed)
            if place[path[-1]] == value:
                continue
            place[path[-1]] = value
            np.savez(file, header=np.array(json.dumps(changed)), **arrays)
            with pytest.raises(ValueError, match=r"A ticket (is read from a file|gives back what was saved)"):
                tf_pai.load_ticket(plain, file)


def test_seeds_that_give_other_weights_here(tmp_path, monkeypatch):
    """As with another version of NumPy: it does not promise the same numbers for ever."""
    plain = dense_net()
    tf_pai.save_ticket(select(plain), tmp_path / "ticket.npz")
    drawn = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: drawn([1, *seed] if isinstance(seed, list) else seed))
    with pytest.raises(ValueError, match="bit for bit. Received: .*its seeds give other weights"):
        tf_pai.load_ticket(plain, tmp_path / "ticket.npz")


def test_a_zero_with_another_sign_is_no_zero_of_the_initializer(tmp_path):
    model, x = select(dense_net()), batch()[0]
    model.get_layer("fc1").bias.assign(-np.zeros(16))
    assert tf_pai.save_ticket(model, tmp_path / "ticket.npz").weights == 4 * 16
    loaded = tf_pai.load_ticket(dense_net(), tmp_path / "ticket.npz")
    assert np.signbit(loaded.get_layer("fc1").bias.numpy()).all() and np.array_equal(loaded(x), model(x))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("make", [select, lambda model: tf_pai.prune_at_init(model, "random", 0.5, seed=0)])
def test_weights_of_other_types(make, dtype, tmp_path):
    plain = dense_net(dtype)
    model = make(plain)
    tf_pai.save_ticket(model, tmp_path / "ticket.npz")
    loaded = tf_pai.load_ticket(plain, tmp_path / "ticket.npz")
    assert same(values(loaded), values(model)) and same(tf_pai.get_masks(loaded), tf_pai.get_masks(model))
    assert {variable.dtype for variable in weights_of(loaded).values()} == {dtype}
