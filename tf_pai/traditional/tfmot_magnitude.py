"""tfmot's own magnitude pruning, as a baseline: on a tf_keras twin, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_pai.layers import weights_of
from tf_pai.masks import set_masks
from tf_pai.registry import register_method
from tf_pai.traditional import twin
from tf_pai.traditional.dense import refuse_options
from tf_pai.training import Job, batches_of

WORKER = pathlib.Path(__file__).with_name("tfmot_worker.py")
SHARE = 0.75  # of the training, after which the sparsity stays


@register_method(
    "tfmot_magnitude",
    survey_name="GMP (tfmot)",
    year=2017,
    reference="Zhu & Gupta, arXiv 2017",
    track="traditional",
    table_row="Table 1, row 1",
    k1="K",
    k2="K",
)
def tfmot_magnitude(job: Job) -> keras.Model:
    """Runs tfmot's `prune_low_magnitude`: s_t = s (1 - (1 - t/T)^3), the lowest |w| of each layer, while training.

    T is three quarters of the training (option `share`). Every layer gets the same sparsity, as tfmot does it, and
    depthwise kernels stay dense. tfmot prunes tf_keras models only, so a twin with the same weights, optimizer and
    loss is trained on the same batches by another process, and its weights and masks come back into a Keras 3 model.
    A killed run begins again: tfmot's own state is not kept.

    Raises:
        ValueError: a layer without a twin (the first is named), a loss of the user's own, batches of more than (x, y).
        RuntimeError: the other process failed; the message holds what it said last.

    Reference: Zhu & Gupta 2017, "To prune, or not to prune", section 3; tensorflow-model-optimization.
    """
    options = refuse_options(job, {"share": SHARE})
    if not job.sparsity or not 0 < job.sparsity < 1:
        raise ValueError(f"tfmot_magnitude takes a sparsity in (0, 1). Received: sparsity={job.sparsity!r}.")
    model = job.model()
    spec = {**twin.describe(model), **twin.training(model), "seed": job.seed}
    with tempfile.TemporaryDirectory(prefix="tf_pai-tfmot-") as name:
        folder = pathlib.Path(name)
        np.savez(folder / "weights.npz", **_weights(model))  # type: ignore[arg-type]
        _train(job, model, spec, folder, options["share"])
        with np.load(folder / "trained.npz", allow_pickle=False) as trained:
            return _taken_over(model, dict(trained))


def _train(job: Job, model: keras.Model, spec: dict[str, Any], folder: pathlib.Path, share: float) -> None:
    batches = batches_of(job.data, job.seed, job.batch_size)
    spec["batch_size"], steps = _write_epoch(batches(0), folder, 0)
    spec["schedule"] = polynomial_decay(float(job.sparsity or 0.0), steps * job.epochs, share)
    (folder / "job.json").write_text(json.dumps(spec))
    callbacks = [] if job.callbacks is None else job.callbacks("train")
    run = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=job.epochs, steps=steps, verbose=0)
    run.on_train_begin()
    with _worker(folder) as ask:
        for epoch in range(job.epochs):
            if epoch:
                _write_epoch(batches(epoch), folder, epoch)
            run.on_epoch_begin(epoch)
            run.on_epoch_end(epoch, json.loads(ask(epoch)))
            for array in "xy":
                (folder / f"{array}{epoch}.npy").unlink()
    run.on_train_end()


def polynomial_decay(sparsity: float, steps: int, share: float = SHARE) -> dict[str, Any]:
    """Returns the arguments of tfmot's PolynomialDecay, whose last step is one at which it prunes.

    >>> polynomial_decay(0.9, steps=1000)["end_step"]
    750
    """
    frequency = max(1, min(100, steps // 20))
    end = max(1, int(share * steps) // frequency) * frequency
    ends = {"begin_step": 0, "end_step": end, "frequency": frequency}
    return {"initial_sparsity": 0.0, "final_sparsity": sparsity, "power": 3, **ends}


def _write_epoch(batches: Any, folder: pathlib.Path, epoch: int) -> tuple[int, int]:
    """Writes the batches of an epoch, one after the other, and returns (examples per batch, batches)."""
    read = [tuple(np.asarray(part) for part in batch) for batch in batches]
    if not read or any(len(batch) != 2 for batch in read):
        raise ValueError("tfmot_magnitude trains on batches (x, y). Received: none, or of another form.")
    sizes = [len(batch[1]) for batch in read]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise ValueError(f"tfmot_magnitude trains on batches of one size. Received: sizes {sorted(set(sizes))}.")
    for name, parts in zip("xy", zip(*read, strict=True), strict=True):
        np.save(folder / f"{name}{epoch}.npy", np.concatenate(parts))
    return sizes[0], len(read)


@contextlib.contextmanager
def _worker(folder: pathlib.Path) -> Iterator[Any]:
    """Starts the other process and yields a function that has it train one epoch and returns its answer."""
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    said = folder / "stderr.txt"
    process: Any  # its pipes are open
    with (
        said.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):

        def ask(epoch: int) -> str:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{epoch}\n")
                process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                process.wait()
                raise _failure(said)
            return answer

        try:
            yield ask
            process.stdin.close()
            if process.wait():
                raise _failure(said)
        finally:
            process.kill()


def _failure(said: pathlib.Path) -> RuntimeError:
    last = "\n".join(said.read_text().strip().splitlines()[-5:])
    return RuntimeError(f"tfmot's process ended before the training did. It said last:\n{last}")


def _weights(model: keras.Model) -> dict[str, np.ndarray]:
    layers = model.layers
    return {f"{layer.name}/{i}": np.asarray(w) for layer in layers for i, w in enumerate(layer.weights)}


def _taken_over(model: keras.Model, trained: dict[str, np.ndarray]) -> keras.Model:
    """Returns `model` with the trained weights and masks."""
    paths = {id(variable): path for path, variable in weights_of(model).items()}
    masks = {}
    for layer in model.layers:
        for place, variable in enumerate(layer.weights):
            variable.assign(trained[f"{layer.name}/{place}"])
            mask = trained.get(f"{layer.name}/{place}/mask")
            if mask is not None:
                masks[paths[id(variable)]] = mask
    return set_masks(model, masks)
