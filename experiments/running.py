"""One run from its settings to its folder, for every program here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import keras
import tensorflow as tf

import tf_pai
from experiments.config import command
from experiments.progress import TrainingProgress
from experiments.settings import Settings
from tf_pai.datasets import Dataset
from tf_pai.files import write_whole
from tf_pai.mask_files import save_masks
from tf_pai.masks import get_masks
from tf_pai.reporting import JSONLLogger, Report, SparsityTensorBoard
from tf_pai.reporting.scalars import MetricsTensorBoard

DONE = "metrics.json"  # written last: a folder that holds it is finished


def finished(settings: Settings) -> dict[str, Any] | None:
    """Returns the metrics of a finished run, or None."""
    file = settings.folder / DONE
    return json.loads(file.read_text()) if file.exists() else None


def execute(settings: Settings) -> dict[str, Any]:
    """Makes a run, or what is left of one that was killed, and returns its metrics; a finished one is only read.

    The folder then holds config.json, metrics.jsonl, tensorboard/, masks.npz, model.keras, report.txt, report.json
    and report.html.
    """
    done = finished(settings)
    if done is not None:
        return done
    if settings.deterministic:
        keras.utils.set_random_seed(settings.seed)  # TensorFlow asks for one, even where none of its own is used
        tf.config.experimental.enable_op_determinism()
    data = settings.load_data()
    dense = {**_untrained(settings, data), **_dense(settings)}  # before there is a folder: it finds wrong settings
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    with write_whole(folder / "config.json", "w") as stream:
        json.dump(dataclasses.asdict(settings), stream, indent=2)
    result = _run(settings, data)
    return _store(settings, result, {**dense, **result.metrics})


def _run(settings: Settings, data: Dataset) -> tf_pai.RunResult:
    shown: list[TrainingProgress] = []

    def callbacks(stage: str) -> list[keras.callbacks.Callback]:
        folder = settings.folder / "tensorboard" / stage
        shown.append(TrainingProgress(stage))
        return [
            shown[-1],
            JSONLLogger(settings.folder / ("metrics.jsonl" if stage == "train" else f"metrics-{stage}.jsonl")),
            MetricsTensorBoard(folder),
            SparsityTensorBoard(folder),
        ]

    try:
        return tf_pai.run(
            settings.model_maker(data),
            settings.method,
            settings.sparsity,
            data=data.train,
            validation_data=data.test(),
            epochs=settings.epochs,
            seed=settings.seed,
            run_dir=settings.folder / "state",
            score_data=data.score_batch(settings.score_per_class),
            callbacks=callbacks,
            options=settings.method_options(),
            verbose=0,
        )
    finally:
        for progress in shown:
            progress.close()


def _untrained(settings: Settings, data: Dataset) -> dict[str, float]:
    model = settings.model_maker(data)()
    return {"untrained_dense_accuracy": float(model.evaluate(data.test(), verbose=0, return_dict=True)["accuracy"])}


def _dense(settings: Settings) -> dict[str, float]:
    """The accuracy of the dense network, trained in a folder of its own, which all methods share."""
    if not settings.train_dense or settings.method == "dense":
        return {}
    own = {"distribution", "structure", "pruning_schedule", "min_keep", "compute", "options", "score_per_class"}
    defaults: dict[str, Any] = {
        field.name: field.default for field in dataclasses.fields(Settings) if field.name in own
    }
    dense = dataclasses.replace(settings, method="dense", sparsity=0.0, train_dense=False, **defaults)
    return {"dense_accuracy": execute(dense)["accuracy"]}


def _store(settings: Settings, result: tf_pai.RunResult, metrics: dict[str, Any]) -> dict[str, Any]:
    folder = settings.folder
    report: Report = dataclasses.replace(
        result.report,
        config={name: value for name, value in dataclasses.asdict(settings).items() if value not in ("", ())},
        metrics=metrics,
        command=command(settings, "experiments.prune"),
    )
    if get_masks(result.model):
        save_masks(result.model, folder / "masks.npz")
    with write_whole(folder / "model.keras") as stream:
        stream.write((folder / "state" / "model.keras").read_bytes())
    with write_whole(folder / "report.txt", "w") as stream:
        stream.write(f"{report}\n")
    report.to_json(folder / "report.json")
    report.to_html(folder / "report.html")
    with write_whole(folder / DONE, "w") as stream:
        json.dump(metrics, stream, indent=2)
    return metrics
