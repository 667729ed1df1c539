"""Iterative magnitude pruning by hand, its levels on disk, and what find_ticket refuses."""

import itertools
import json

import keras
import numpy as np
import pytest

import tf_pai
from tests.training.models import small_data, small_model
from tf_pai.tickets import Bench, Routine
from tf_pai.tickets import find as finding

LAYERS = keras.layers
OPTIONS = {"epochs": 2, "batch_size": 10, "seed": 3}


def plain_model(**compile_options) -> keras.Model:
    return small_model(metrics=["accuracy"], pruned=False, run_eagerly=True, **compile_options)


def find(sparsity=0.6, model=None, **options):
    data = small_data()
    arguments = {"data": data, "validation_data": data, **OPTIONS, **options}
    return tf_pai.find_ticket(model or plain_model(), arguments.pop("method", "lth"), sparsity, **arguments)


def same(first: dict, again: dict) -> bool:
    return list(first) == list(again) and all(np.array_equal(first[key], again[key]) for key in first)


class Jump(keras.callbacks.Callback):
    """Stands for training: sets the kernels to given values."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        for path, value in self.values.items():
            variables = {**finding.weights_of(self.model)}
            variables[path].assign(value * tf_pai.get_masks(self.model)[path])


def test_two_rounds_by_hand():
    """Of each layer's 8 weights a round removes 25 %, of the last layer's 12.5 %; the last round goes to 11 of 16.

    hidden, trained   6 of 8       5 of 8        last, trained   7 of 8    6 of 8
      .1 .2 .3 .4    0 0 1 1      0 0 0 1           8 7           1 1       1 1
      .5 .6 .7 .8    1 1 1 1      1 1 1 1           6 5           1 1       1 1
                                                    4 3           1 1       1 1
                                                    2 1           1 0       0 0
    """
    model = keras.Sequential(
        [keras.Input((2,)), LAYERS.Dense(4, name="hidden"), LAYERS.Dense(2, use_bias=False, name="last")]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    trained = {
        "hidden/kernel": np.arange(1, 9, dtype="float32").reshape(2, 4) / 10,
        "last/kernel": np.arange(8, 0, -1, dtype="float32").reshape(4, 2),
    }
    data = np.ones((2, 2), "float32"), np.ones((2, 2), "float32")
    ticket = tf_pai.find_ticket(
        model, "lth", 5 / 16, data=data, epochs=1, rate=0.25, callbacks=lambda name: [Jump(trained)], seed=0
    )
    assert [level["density"] for level in ticket.history] == [1.0, 13 / 16]
    assert ticket.masks_at(1)["last/kernel"].astype(int).tolist() == [[1, 1], [1, 1], [1, 1], [1, 0]]
    assert ticket.masks["hidden/kernel"].astype(int).tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]
    assert ticket.masks["last/kernel"].astype(int).tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]
    for path, variable in finding.weights_of(model).items():  # reset to where it began
        got = finding.weights_of(ticket.model)[path].numpy()
        assert np.array_equal(got, variable.numpy() * ticket.masks.get(path, 1))


def test_levels_fall_by_the_rate_and_end_at_what_was_asked():
    ticket = find(0.6, method="lth", distribution="global", rate=0.3)
    # 72 weights: .7 -> 50, .49 -> 35, .4 -> 29
    assert [round(72 * level["density"]) for level in ticket.history] == [72, 50, 35]
    assert round(72 * ticket.density) == 29 and ticket.step == 0 and ticket.method == "lth"
    assert {"accuracy", "loss", "level", "density"} == set(ticket.history[0])
    assert tf_pai.verify(ticket.model) and int(ticket.model.optimizer.iterations.numpy()) == 0


def test_rounds_fall_exponentially_and_one_round_is_one_shot():
    assert [level["density"] for level in find(0.75, rounds=2).history] == [1.0, 0.5]
    assert [level["density"] for level in find(0.75, rounds=1).history] == [1.0]


def test_masks_of_every_level_are_known_and_nested():
    ticket = find(0.6, distribution="global", rate=0.3)
    masks = [ticket.masks_at(level) for level in range(4)]
    assert same(masks[3], ticket.masks) and all(mask.all() for mask in masks[0].values())
    for level, (wider, narrower) in enumerate(itertools.pairwise(masks)):
        assert all(not (n & ~w).any() for w, n in zip(wider.values(), narrower.values(), strict=True))
        assert sum(int(m.sum()) for m in wider.values()) / 72 == ticket.history[level]["density"]
    with pytest.raises(ValueError, match=r"its own levels, 0 to 3. Received: level=4"):
        ticket.masks_at(4)
    with pytest.raises(ValueError, match=r"its own levels, 0 to 3. Received: level='1'"):
        ticket.masks_at("1")


def test_the_users_model_is_left_alone():
    model = plain_model()
    before = [w.copy() for w in model.get_weights()]
    find(model=model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not tf_pai.get_masks(model)


def test_rewinding_gives_the_weights_of_that_step():
    """Step 3 of epochs of 2 steps lies in the second epoch: training straight through passes the same weights."""
    ticket = find(0.5, rounds=1, rewind_to="1ep1it")
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[int(self.model.optimizer.iterations.numpy())] = [w.copy() for w in self.model.get_weights()]

    model = plain_model()
    routine = Routine(small_data(), 2, None, 10, 3)
    bench = Bench(model, routine, list(ticket.masks))
    bench.train(bench.values(), bench.dense(), "dense", callbacks=[Look()])
    start = finding.weights_of(bench.model)
    for path, variable in start.items():
        place = next(i for i, w in enumerate(bench.model.weights) if w is variable)
        assert np.array_equal(seen[3][place], ticket.initial_weights[path]), path
    assert ticket.step == 3 == int(ticket.model.optimizer.iterations.numpy())


def test_a_rewound_level_trains_the_rest_of_the_epochs():
    steps = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            steps.append(int(self.model.optimizer.iterations.numpy()))

    find(0.5, rounds=1, rewind_to=3, callbacks=lambda name: [Count()])
    assert steps == [0, 1, 2, 3]  # three steps to the rewinding point, and the one that is left of four


def test_a_pattern_is_one_round():
    ticket = find(None, structure="1:2")
    assert [level["density"] for level in ticket.history] == [1.0]
    assert (ticket.masks["one/kernel"].reshape(3, 2, 8).sum(1) == 1).all()


def test_filters_go_with_their_biases():
    ticket = find(0.5, structure="filter", rounds=2)
    kept = ticket.masks["one/kernel"].any(0)
    assert kept.sum() == 4 and np.array_equal(ticket.masks["one/bias"], kept)
    assert np.array_equal(ticket.masks["norm/gamma"], kept)


def test_every_training_is_made_once(tmp_path):
    first = find(0.6, run_dir=tmp_path)
    again = find(0.6, run_dir=tmp_path, callbacks=lambda name: [Refuse()])
    assert same(first.masks, again.masks) and first.history == again.history
    assert same(first.initial_weights, again.initial_weights)


class Refuse(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        pytest.fail("trained again")


def test_a_run_dir_belongs_to_one_search(tmp_path):
    find(0.6, run_dir=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"belongs to one run. Received: rate=0.3, but .* rate=0.2"):
        find(0.6, run_dir=tmp_path, rate=0.3)
    (tmp_path / "start.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"whole file of initial weights. Received: .*start.npz'"):
        find(0.6, run_dir=tmp_path)
    (tmp_path / "start.npz").write_bytes(before[tmp_path / "start.npz"])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_the_start_is_remembered(tmp_path):
    """A network that is initialized anew in each process goes on from the weights it began with."""
    first = find(0.6, run_dir=tmp_path)
    other = plain_model()
    for weight in other.weights:
        weight.assign(np.ones(weight.shape))
    assert same(find(0.6, run_dir=tmp_path, model=other).masks, first.masks)


def test_a_drawn_seed_is_remembered(tmp_path):
    find(0.5, run_dir=tmp_path, seed=None, rounds=1)
    drawn = json.loads((tmp_path / "ticket.json").read_text())["drawn seed"]
    assert same(find(0.5, run_dir=tmp_path, seed=None, rounds=1).masks, find(0.5, seed=drawn, rounds=1).masks)


def test_run_finds_and_trains(tmp_path):
    data = small_data()
    result = tf_pai.run(
        plain_model, "lth", 0.5, data=data, validation_data=data, **OPTIONS, run_dir=tmp_path,
        options={"rounds": 1, "rewind_to": 1}, verbose=0,
    )  # fmt: skip
    assert result.metrics["sparsity"] == 0.5 and tf_pai.verify(result.model)
    assert int(result.model.optimizer.iterations.numpy()) == 4


def test_a_ticket_is_saved_and_loaded(tmp_path):
    ticket = find(0.6)
    tf_pai.save_ticket(ticket, tmp_path / "ticket.npz")
    loaded = tf_pai.load_ticket(plain_model(), tmp_path / "ticket.npz")
    assert same(tf_pai.get_masks(loaded), ticket.masks)


@pytest.mark.parametrize(
    ("error", "text", "options"),
    [
        (ValueError, r"Unknown ticket method. Received: 'lht'. Did you mean 'lth'\?", {"method": "lht"}),
        (ValueError, r"Unknown option of 'lth'. Received: depth=3. Valid options: none.", {"options": {"depth": 3}}),
        (ValueError, r"rounds is a number of 1 or more. Received: rounds=0", {"rounds": 0}),
        (ValueError, r"epochs is a number of 1 or more. Received: epochs=1.5", {"epochs": 1.5}),
        (ValueError, r"rate is the fraction that a round removes, in \(0, 1\). Received: rate=1", {"rate": 1}),
        (ValueError, r"before the end of training. Received: rewind_to='2ep', step 4 of 4", {"rewind_to": "2ep"}),
        (ValueError, r"A sparsity is a number in \[0, 1\)", {"sparsity": 1.0}),
        (TypeError, r"Keras 3 models. Received: builtins.int", {"model": 3}),
    ],
)
def test_wrong_arguments(error, text, options):
    with pytest.raises(error, match=text):
        find(**options)


def test_an_uncompiled_model():
    model = keras.Sequential([keras.Input((2,)), LAYERS.Dense(2)])
    with pytest.raises(ValueError, match=r"found by training. Received: 'sequential.*not compiled. Call model.compile"):
        find(model=model)
