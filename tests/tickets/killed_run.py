"""Kills a search with SIGKILL at random moments, again and again: `python -m tests.tickets.killed_run FOLDER KILLS`.

Each attempt is a process of its own, forked before TensorFlow has started anything: it is imported once.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time

import numpy as np
import tensorflow as tf

import tf_pai
from tests.training.models import small_data, small_model


def search(folder: pathlib.Path) -> None:
    """Runs the search in `folder`, and writes a digest of all that it gives."""
    tf.config.experimental.enable_op_determinism()
    data = small_data()
    model = small_model(metrics=["accuracy"], pruned=False, run_eagerly=True)
    ticket = tf_pai.find_ticket(
        model, "lth", 0.7, data=data, validation_data=data, epochs=2, rounds=4, rewind_to="1it", batch_size=10,
        run_dir=folder, seed=3,
    )  # fmt: skip
    text = hashlib.blake2s(json.dumps(ticket.history).encode())
    for arrays in (ticket.masks, ticket.initial_weights):
        for path, array in arrays.items():
            text.update(path.encode() + np.ascontiguousarray(array).tobytes())
    for variable in [*ticket.model.weights, *ticket.model.optimizer.variables]:
        text.update(np.asarray(variable).tobytes())
    (folder / "digest.new").write_text(text.hexdigest())
    os.replace(folder / "digest.new", folder / "digest")


def attempt(folder: pathlib.Path, after: float | None) -> float | None:
    """Runs the search in a process of its own; returns the seconds it took, or None where it was killed."""
    child = os.fork()
    if not child:
        search(folder)
        os._exit(0)
    began = time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if after is not None and time.monotonic() - began > after:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.002)
    return time.monotonic() - began


def main(folder: pathlib.Path, kills: int) -> None:
    """Prints the digests of an unkilled search, and of searches that were killed `kills` times in all."""
    shortest = attempt(folder / "unkilled", None)
    moments = random.Random(0)
    digests, killed, own = [(folder / "unkilled" / "digest").read_text()], 0, 0
    while killed < kills or own:
        seconds = attempt(folder / str(len(digests)), moments.uniform(0, shortest) if killed < kills else None)
        if seconds is None:
            killed, own = killed + 1, own + 1
        else:
            shortest = min(shortest, seconds)
            digests.append((folder / str(len(digests)) / "digest").read_text())
            own = 0
    print(json.dumps({"killed": killed, "digests": digests}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
