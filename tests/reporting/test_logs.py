"""Logs of a training: whole lines, each epoch once, also after a kill."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tf_pai.reporting import JSONLLogger, SparsityTensorBoard, history_of, read_log

X, Y = np.ones((4, 6), "float32"), np.zeros(4, "int32")


@pytest.fixture
def model(pruned):
    pruned.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return pruned


def _fit(model, file, **options):
    return model.fit(X, Y, callbacks=[JSONLLogger(file)], verbose=0, **options)


def test_a_line_per_epoch(model, tmp_path):
    file = tmp_path / "metrics.jsonl"
    history = _fit(model, file, epochs=3, validation_data=(X, Y)).history
    entries = read_log(file)
    assert [entry["epoch"] for entry in entries] == [0, 1, 2]
    assert history_of(entries) == {name: pytest.approx(values) for name, values in history.items()}


@pytest.mark.parametrize(
    "tail", ["", '{"epoch": 2, "lo', '{"epoch": 2, "loss": 9.0}\n', '{"epoch": 2}\n{"epoch": 3, "l']
)
def test_a_killed_run_that_goes_on_leaves_each_epoch_once(model, tmp_path, tail):
    file = tmp_path / "metrics.jsonl"
    _fit(model, file, epochs=2)
    first = file.read_text()
    file.write_text(first + tail)
    _fit(model, file, initial_epoch=2, epochs=4)
    assert file.read_text().startswith(first)
    assert [json.loads(line)["epoch"] for line in file.read_text().splitlines()] == [0, 1, 2, 3]
    assert read_log(file)[2].get("loss", 9.0) != 9.0


def test_a_new_training_starts_a_new_log_and_the_callback_can_be_used_again(model, tmp_path):
    logger = JSONLLogger(tmp_path / "metrics.jsonl")
    for _ in range(2):
        model.fit(X, Y, epochs=2, callbacks=[logger], verbose=0)
    assert [entry["epoch"] for entry in read_log(logger.file)] == [0, 1]


def test_what_is_not_finite_is_null(tmp_path):
    logger = JSONLLogger(tmp_path / "metrics.jsonl")
    logger.on_epoch_begin(0)
    logger.on_epoch_end(0, {"loss": float("nan"), "accuracy": np.float32(0.5)})
    assert logger.file.read_text() == '{"epoch": 0, "loss": null, "accuracy": 0.5}\n'


def test_a_missing_log_is_empty_and_another_file_is_an_error(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_log(file) == []
    file.write_text("hello\nworld\n")
    with pytest.raises(ValueError, match=r"A log holds one JSON object per line. Received: line 1 of .*'hello'"):
        read_log(file)


def _scalars(folder):
    """{tag: values by step} of a TensorBoard folder."""
    found = {}
    for file in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for entry in event.summary.value:
                found.setdefault(entry.tag, {})[event.step] = float(tf.make_ndarray(entry.tensor))
    return found


def test_tensorboard_gets_the_sparsity_of_each_weight(model, tmp_path):
    model.fit(X, Y, epochs=2, callbacks=[SparsityTensorBoard(tmp_path)], verbose=0)
    scalars = _scalars(tmp_path)
    assert set(scalars) == {"sparsity", "sparsity/fc1/kernel", "sparsity/fc2/kernel"}
    assert scalars["sparsity"] == {0: pytest.approx(0.5), 1: pytest.approx(0.5)}
    expected = 1 - tf_pai.get_masks(model)["fc1/kernel"].mean()
    assert scalars["sparsity/fc1/kernel"][1] == pytest.approx(expected)
