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


@pytest.mark.parametrize("name", ["adagrad", "nadam", "ftrl", "rmsprop"])
def test_begin_gives_the_optimizer_the_state_that_it_began_with(name):
    model = compiled(tf_pai.select_subnet(dense_net(), "supsup", seed=0), name)
    model.optimizer.build(model.trainable_variables)
    first = [v.numpy() for v in model.optimizer.variables]
    model.fit(*task(0, 64), verbose=0)
    Supermasks(model).begin(seed=1)
    assert all(np.array_equal(v.numpy(), old) for v, old in zip(model.optimizer.variables, first, strict=True))


def test_begin_keeps_learning_rate_and_loss_scale():
    """At a loss scale of 0, every score of the second task would be NaN."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=1024.0)
    model = compiled(tf_pai.select_subnet(dense_net("mixed_float16"), "supsup", seed=0), optimizer)
    model.fit(*task(0, 64), verbose=0)
    Supermasks(model).begin(seed=1)
    assert float(optimizer.dynamic_scale) == 1024 and float(optimizer.learning_rate) == pytest.approx(0.1)
    assert int(optimizer.iterations) == 0 and not optimizer.inner_optimizer.momentums[0].numpy().any()
    scores = [v.numpy() for v in model.trainable_variables]
    model.fit(*task(1, 64), verbose=0)
    for variable, old in zip(model.trainable_variables, scores, strict=True):
        assert np.isfinite(variable.numpy()).all() and (variable.numpy() != old).any()


def test_a_layer_that_is_not_trainable_is_no_statistic_of_a_task():
    net = conv_net()
    net.get_layer("conv").trainable = False
    tasks = Supermasks(tf_pai.select_subnet(net, "supsup", seed=0))
    assert tasks.bytes_per_task == 8 * 3 // 8 + 4 * 2 * 8


def test_a_name_that_is_no_string():
    tasks = Supermasks(tf_pai.select_subnet(dense_net(), "supsup", seed=0))
    tasks.store(1)
    tasks.use(1)
    assert tasks.names == ["1"]


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
    with pytest.raises(FileNotFoundError):
        tasks.load(tmp_path / "none.npz")


def test_a_file_that_is_damaged(tmp_path):
    model = tf_pai.select_subnet(conv_net(), "supsup", seed=0)
    tasks, file = Supermasks(model), tmp_path / "tasks.npz"
    for name in ("one", "two"):
        tasks.store(name)
    tasks.save(file)
    whole, stored, read = file.read_bytes(), dict(np.load(file)), Supermasks(model)
    wrong = [
        {"bits": stored["bits"][:, :-1]},
        {"bits": stored["bits"].astype("float32")},
        {"statistics": stored["statistics"][:, :3]},
        {"names": stored["names"][:1]},
        {"names": np.array(["one", "one"])},
        {"names": np.array(1)},
    ]
    for change in wrong:
        np.savez(file, **{**stored, **change})
        with pytest.raises(ValueError, match="file that save wrote"):
            read.load(file)
    method = whole.index(b"PK\x01\x02") + 10
    unknown_compression = whole[:method] + b"\x63" + whole[method + 1 :]
    for damaged in (b"no archive", b"", whole[:-30], whole[:200], unknown_compression):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="file that save wrote"):
            read.load(file)
    assert not read.names


def test_tasks_of_another_network(tmp_path):
    file = tmp_path / "tasks.npz"
    tasks = Supermasks(tf_pai.select_subnet(conv_net(), "supsup", seed=0))
    tasks.store("one")
    tasks.save(file)
    same = Supermasks(tf_pai.select_subnet(conv_net(), "supsup", seed=0))
    same._model.get_layer("norm").moving_mean.assign(np.ones(8))  # belongs to a task
    same.load(file)
    for other in (tf_pai.select_subnet(conv_net(), "supsup", seed=1), tf_pai.select_subnet(dense_net(), "supsup")):
        with pytest.raises(
            ValueError, match="mean nothing on other frozen weights. Received: those of another one, in"
        ):
            Supermasks(other).load(file)


def test_no_task_in_a_file(tmp_path):
    tasks = Supermasks(tf_pai.select_subnet(dense_net(), "supsup", seed=0))
    tasks.save(tmp_path / "tasks.npz")
    tasks.load(tmp_path / "tasks.npz")
    assert tasks.names == []


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
