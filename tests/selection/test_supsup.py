"""Supermasks: one network, a bit per weight and task."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.selection.test_select import compiled, conv_net, dense_net, digest
from tf_pai.selection import Supermasks


def task(seed, n=256):
    """Inputs in an orthant of their own, 3 classes."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((3, 8))
    y = rng.integers(0, 3, n)
    return (centres[y] + 0.3 * rng.standard_normal((n, 8))).astype("float32"), y


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)  # fit's order of the data: the same whatever test ran before
    layers = [keras.layers.Dense(64, "relu", name="fc1"), keras.layers.Dense(3, name="fc2")]
    net = keras.Sequential([keras.Input((8,)), *layers])
    model = compiled(tf_pai.select_subnet(net, "supsup", seed=0), keras.optimizers.Adam(0.02))
    tasks, before = Supermasks(model), digest(model)
    for seed in range(4):
        tasks.begin(seed)
        model.fit(*task(seed), epochs=10, verbose=0)
        tasks.store(f"task{seed}")
    return model, tasks, before


def test_each_task_keeps_its_accuracy_on_one_untouched_network(trained):
    model, tasks, before = trained
    for seed in range(4):
        tasks.use(f"task{seed}")
        assert model.evaluate(*task(seed), verbose=0)[1] > 0.9
    assert digest(model) == before


@pytest.mark.parametrize("search", ["one_shot", "binary"])
def test_the_task_is_inferred_from_its_inputs(trained, search):
    model, tasks, _ = trained
    masks = tf_pai.get_masks(model)
    assert [tasks.infer(task(seed)[0], search) for seed in range(4)] == [f"task{seed}" for seed in range(4)]
    assert all(np.array_equal(mask, masks[path]) for path, mask in tf_pai.get_masks(model).items())


def test_a_task_takes_one_bit_per_weight(trained):
    _, tasks, _ = trained
    assert tasks.bytes_per_task == (8 * 64 + 64 * 3) // 8 == tasks._bits["task0"].nbytes


def test_begin_draws_other_scores_and_empties_the_optimizer(trained):
    model, tasks, _ = trained
    tasks.begin(seed=9)
    masks = tf_pai.get_masks(model)
    tasks.begin(seed=10)
    assert any((mask != masks[path]).any() for path, mask in tf_pai.get_masks(model).items())
    assert int(model.optimizer.iterations) == 0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)


def test_save_and_load(trained, tmp_path):
    model, tasks, _ = trained
    tasks.save(tmp_path / "tasks.npz")
    again = Supermasks(model)
    again.load(tmp_path / "tasks.npz")
    assert again.names == tasks.names
    tasks.use("task1")
    masks = tf_pai.get_masks(model)
    again.use("task2")
    again.use("task1")
    assert all(np.array_equal(mask, masks[path]) for path, mask in tf_pai.get_masks(model).items())


def test_errors(trained, tmp_path):
    model, tasks, _ = trained
    with pytest.raises(ValueError, match=r"inferred among stored ones. Received: none stored. Call store"):
        Supermasks(model).infer(task(0)[0])
    with pytest.raises(ValueError, match=r"Received: 'task_1'. Did you mean 'task1'"):
        tasks.use("task_1")
    with pytest.raises(ValueError, match=r"Received: search='one-shot'. Did you mean 'one_shot'"):
        tasks.infer(task(0)[0], "one-shot")
    with pytest.raises(ValueError, match=r"from one input or more. Received: none"):
        tasks.infer(task(0)[0][:0])
    with pytest.raises(ValueError, match="network with scores"):
        Supermasks(dense_net())
    (tmp_path / "other.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="file that save wrote"):
        tasks.load(tmp_path / "other.npz")


def test_moving_statistics_belong_to_a_task():
    """Two tasks whose inputs differ by a shift: each is evaluated with the statistics of its own."""
    model = compiled(tf_pai.select_subnet(conv_net(), "supsup", seed=0), keras.optimizers.Adam(0.02))
    tasks = Supermasks(model)
    rng, moving = np.random.default_rng(0), model.get_layer("norm").moving_mean
    means, outputs = {}, {}
    for name, shift in (("near", 0.0), ("far", 5.0)):
        tasks.begin(seed=1)
        assert (moving.numpy() == 0).all()
        x = rng.standard_normal((32, 6, 6, 4)).astype("float32") + np.float32(shift)
        model.fit(x, rng.integers(0, 3, 32), epochs=2, verbose=0)
        tasks.store(name)
        means[name], outputs[name] = moving.numpy(), model(x[:2]).numpy()
        inputs = x
    assert not np.allclose(means["near"], means["far"])
    tasks.use("near")
    assert np.array_equal(moving.numpy(), means["near"])
    assert tasks.infer(inputs) in ("near", "far")
    assert np.array_equal(moving.numpy(), means["near"])  # inferring changes nothing
    tasks.use("far")
    assert np.array_equal(model(inputs[:2]), outputs["far"])
    assert tasks.bytes_per_task == (9 * 4 * 8 + 8 * 3 + 7) // 8 + 4 * 2 * 8
