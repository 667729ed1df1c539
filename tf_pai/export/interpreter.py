"""The LiteRT interpreter in another process: a file that crashes it is an error with a name, not the end."""

from __future__ import annotations

import atexit
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_pai.export.worker import read

_WORKER = pathlib.Path(__file__).with_name("worker.py")


class _Process:
    """A worker process, started when it is first needed, and again after a crash."""

    def __init__(self) -> None:
        self.process: Any = None  # a subprocess.Popen once it has started
        self.lock = threading.Lock()

    def ask(self, subject: str, **request: Any) -> Any:
        """Returns the worker's answer; `subject` is named where it fails."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.process = self._start()
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                raise RuntimeError(f"The LiteRT interpreter {_ended(self.process.wait())} on {subject}.")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"The LiteRT interpreter refused {subject}: {reply['error']}")
        return reply["result"]

    def _start(self) -> subprocess.Popen:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-P", str(_WORKER)]
        return subprocess.Popen(
            command,
            text=True,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """Ends the worker."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


_process = _Process()
atexit.register(_process.stop)


def _ended(code: int) -> str:
    return f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"


def run_file(file: str | os.PathLike, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the outputs of a TFLite file by name, by the default interpreter.

    Args:
        file: a TFLite file with a signature.
        inputs: {input name: array}; the first axis is the batch.

    Raises:
        RuntimeError: the interpreter refuses the file or crashes on it.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = os.path.join(folder, "inputs.npz"), os.path.join(folder, "outputs.npz")
        np.savez(given, *inputs.values())
        names = _process.ask(str(file), do="run", file=str(file), inputs=given, names=list(inputs), outputs=made)
        return read(made, names)


def time_files(files: Sequence[str | os.PathLike], inputs: dict[str, np.ndarray]) -> list[float]:
    """Returns the median seconds that each TFLite file takes for `inputs`; runs of the files alternate.

    Raises:
        RuntimeError: the interpreter refuses one of the files or crashes on it.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = os.path.join(folder, "inputs.npz")
        np.savez(given, *inputs.values())
        paths = [str(file) for file in files]
        return _process.ask(" or ".join(paths), do="latencies", files=paths, inputs=given, names=list(inputs))
