"""Builds the native kernels with the user's own compiler, once per user, source, TensorFlow and compiler.

A prebuilt library would load in one TensorFlow version only. The first use compiles for about 15 s; the result is kept
in `~/.cache/tf_pai/kernels` (`TF_PAI_CACHE` names another folder). The library appears under its name only when it is
complete, so that a build that is killed leaves nothing in use. Two processes that build at once wait for each other.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import tensorflow as tf

SOURCE = pathlib.Path(__file__).parent
FLAGS = ("-O3", "-fPIC", "-std=c++17", "-ffp-contract=fast", "-w")
KERNEL_UNITS = (
    *("tiles16", "tiles8", "tiles4", "isa", "structure"),
    *("dense_forward", "dense_backward", "conv_forward", "conv_backward", "threshold", "largest", "masking"),
)
# The only ones that include TensorFlow.
OP_UNITS = ("dense_ops", "conv_ops", "threshold_ops", "masking_ops", "counting_ops", "places_ops")
_CHECK_FLAGS = ("-g", "-Wall", "-Wextra", "-O1")
SANITIZERS = {
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-fsanitize=thread",),
}


class BuildError(RuntimeError):
    """The kernels cannot be built; the message says why."""


@dataclasses.dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its command line, and what `--version` says."""

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler | None:
    """Returns the compiler that `CXX` names, else the first of c++, g++ and clang++ that runs, else None."""
    named = os.environ.get("CXX")
    try:
        candidates = [shlex.split(named)] if named else [["c++"], ["g++"], ["clang++"]]
    except ValueError:  # a quotation without its end
        return None
    for candidate in candidates:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = [*candidate, "--version"]
            answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True, timeout=60)
            return Compiler(tuple(candidate), answer.stdout.partition("\n")[0])
    return None


def cache_folder() -> pathlib.Path:
    """Returns the folder that built libraries are kept in."""
    named = os.environ.get("TF_PAI_CACHE")
    if named:
        return pathlib.Path(named)
    try:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:  # a user without a home, as in containers
        return pathlib.Path(tempfile.gettempdir()) / f"tf_pai-{os.getuid()}" / "kernels"
    return base / "tf_pai" / "kernels"


def tensorflow_version() -> str:
    """Returns what a library is bound to: TensorFlow's version and the flags that it is compiled with."""
    return " ".join([tf.__version__, *tf.sysconfig.get_compile_flags()])


def library_name(compiler: Compiler | None) -> str:
    """Returns the file name of the library: a hash of the source and TensorFlow, and one of compiler and flags.

    Without a compiler, the second is `*`: a library that was built where there was one is as good.
    """
    digest = hashlib.sha256(tensorflow_version().encode() + platform.machine().encode())
    for file in sorted([*SOURCE.glob("*.cc"), *SOURCE.glob("*.h")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    tools = "*" if compiler is None else hashlib.sha256(repr((compiler, FLAGS)).encode()).hexdigest()[:8]
    return f"kernels-{digest.hexdigest()[:16]}-{tools}.so"


def find(folder: pathlib.Path, compiler: Compiler | None) -> pathlib.Path | None:
    """Returns the library in `folder`, or None."""
    return next(iter(sorted(folder.glob(library_name(compiler)))), None)


def build() -> pathlib.Path:
    """Returns the library, built now if it is not in the cache.

    Raises:
        BuildError: there is no library and no compiler, or the compiler fails.
    """
    compiler, folder = find_compiler(), cache_folder()
    library = find(folder, compiler)
    if library is not None:
        return library
    if compiler is None:
        raise BuildError("no C++ compiler found (install g++ or clang++, or name one in CXX)")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder / "lock"):
            return find(folder, compiler) or _build_in(folder, compiler)
    except OSError:  # a cache that cannot be written: build for this process only
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tf_pai-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _build_in(folder, compiler)


def build_check(folder: pathlib.Path, sanitizer: str = "address") -> pathlib.Path:
    """Returns the stand-alone test of the kernels, without TensorFlow, built with a sanitizer.

    Args:
        folder: where the program and its object files go.
        sanitizer: "address" (with that of undefined behaviour) or "thread".
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("no C++ compiler found (install g++ or clang++, or name one in CXX)")
    checks = (*_CHECK_FLAGS, *SANITIZERS[sanitizer])
    flags = [*(flag for flag in FLAGS if flag not in ("-O3", "-w")), *checks]
    objects = _compile(compiler, folder, (*KERNEL_UNITS, "check"), flags)
    program = folder / "check"
    _run([[*compiler.command, *checks, *objects, "-pthread", "-o", str(program)]])
    return program


@contextlib.contextmanager
def _locked(file: pathlib.Path) -> Iterator[None]:
    """Holds a lock that the system releases when its owner ends, however it ends."""
    with open(file, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _build_in(folder: pathlib.Path, compiler: Compiler) -> pathlib.Path:
    """Compiles in a folder of its own inside `folder`; the library moves up when it is complete."""
    for leftover in folder.glob("build-*"):  # of builds that were killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    library = folder / library_name(compiler)
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as name:
        work = pathlib.Path(name)
        objects = _compile(compiler, work, (*OP_UNITS, *KERNEL_UNITS), list(FLAGS))
        link = [*compiler.command, "-shared", *objects, *tf.sysconfig.get_link_flags()]
        _run([[*link, "-o", str(work / library.name)]])
        os.replace(work / library.name, library)
    return library


def _compile(compiler: Compiler, work: pathlib.Path, units: tuple[str, ...], flags: list[str]) -> list[str]:
    """Compiles the units, as many at once as there are cores; returns their object files."""
    commands, objects = [], []
    for unit in units:
        source, lanes = ("tiles", unit.removeprefix("tiles")) if unit.startswith("tiles") else (unit, "")
        more = [f"-DTF_PAI_LANES={lanes}"] if lanes else []
        more += tf.sysconfig.get_compile_flags() if unit in OP_UNITS else []
        objects.append(str(work / f"{unit}.o"))
        commands.append([*compiler.command, *more, *flags, "-c", str(SOURCE / f"{source}.cc"), "-o", objects[-1]])
    _run(commands)
    return objects


def _run(commands: list[list[str]]) -> None:
    """Runs the commands, as many at once as there are cores.

    Raises:
        BuildError: one of them fails; with the first lines of what it says.
    """
    waiting = list(commands)
    running: list[subprocess.Popen[str]] = []
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                command = waiting.pop(0)
                running.append(
                    subprocess.Popen(
                        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
                    )
                )
            process = running[0]
            said, _ = process.communicate()
            running.pop(0)
            if process.returncode != 0:
                raise BuildError(f"{commands[0][0]} failed ({process.returncode}): {said.strip()[:2000]}")
    finally:
        for process in running:
            process.kill()
            process.wait()
