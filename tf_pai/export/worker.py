"""Runs TFLite files in a process of its own, which a file that crashes the interpreter takes down alone.

A line of JSON in, a line of JSON out; arrays come and go as .npz files. It imports neither tf_pai nor Keras.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from typing import Any

import numpy as np

SECONDS = 1.0  # that a measurement of latencies takes, about
FEWEST, MOST = 5, 300  # runs of each file


def interpreter_class() -> Any:
    """Returns LiteRT's interpreter, or the one in TensorFlow where the package ai-edge-litert is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        from tensorflow.lite.python.interpreter import Interpreter
    return Interpreter


def runner(file: str) -> Any:
    """Returns the function {input name: array} -> {output name: array} of a file, with the default delegate."""
    return interpreter_class()(model_path=file).get_signature_runner()


def called(run_once: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the outputs; a single input may go without a name, as ""."""
    if list(arrays) == [""]:
        (name,) = run_once.get_input_details()
        arrays = {name: arrays[""]}
    return run_once(**arrays)


def read(file: str, names: list[str]) -> dict[str, np.ndarray]:
    """Returns {name: array} of an .npz file that holds arrays in order."""
    with np.load(file) as stored:
        return {name: stored[f"arr_{i}"] for i, name in enumerate(names)}


def run(file: str, inputs: str, names: list[str], outputs: str) -> list[str]:
    """Runs a file on the arrays in `inputs`, writes the outputs to `outputs`, both .npz, and returns their names."""
    made = called(runner(file), read(inputs, names))
    np.savez(outputs, *made.values())
    return list(made)


def latencies(files: list[str], inputs: str, names: list[str]) -> list[float]:
    """Returns the median seconds of one run of each file, without Python's copies; runs of the files alternate."""
    arrays = read(inputs, names)
    interpreters = [interpreter_class()(model_path=file) for file in files]
    seconds: list[list[float]] = [[] for _ in files]
    for interpreter in interpreters:
        called(interpreter.get_signature_runner(), arrays)  # the first run decodes and allocates; inputs stay
    began, rounds = time.perf_counter(), 0
    while rounds < FEWEST or (rounds < MOST and time.perf_counter() - began < SECONDS):
        for interpreter, measured in zip(interpreters, seconds, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            measured.append(time.perf_counter() - start)
        rounds += 1
    return [statistics.median(measured) for measured in seconds]


def main() -> None:
    """Answers requests until the input ends."""
    answers: dict[str, Any] = {"run": run, "latencies": latencies}
    replies, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no reply
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"result": answers[request.pop("do")](**request)}
        except Exception as error:  # whatever it is, the one who asked has to hear of it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
