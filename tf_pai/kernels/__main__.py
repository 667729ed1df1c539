"""`python -m tf_pai.kernels build|info|test`: builds the native kernels, says what is there, checks them."""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tf_pai.kernels import build, library, selfcheck

_ISAS = ("avx512", "avx2", "base")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tf_pai.kernels", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build_parser = commands.add_parser("build", help="build the kernels into the cache, for images and clusters")
    build_parser.add_argument(
        "--sanitize",
        nargs="?",
        const="address",
        choices=list(build.SANITIZERS),
        help="instead, build their C++ tests with AddressSanitizer or ThreadSanitizer, and run them",
    )
    commands.add_parser("info", help="what the kernels are built with, where they are, and whether they load")
    commands.add_parser("test", help="compare the kernels with dense TensorFlow on random shapes")
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            return _sanitize(options.sanitize) if options.sanitize else _build()
        return _info() if options.command == "info" else _test()
    except (build.BuildError, OSError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1


def _build() -> int:
    start = time.perf_counter()
    path = build.build()
    print(f"{path} ({time.perf_counter() - start:.1f} s)")
    return 0


def _sanitize(sanitizer: str) -> int:
    with tempfile.TemporaryDirectory(prefix="tf_pai-check-") as folder:
        program = build.build_check(pathlib.Path(folder), sanitizer)
        codes = [subprocess.run([program], env={**os.environ, "TF_PAI_ISA": isa}).returncode for isa in _ISAS]
    return max(map(abs, codes))


def _info() -> int:
    compiler = build.find_compiler()
    path = build.find(build.cache_folder(), compiler)
    print(f"compiler:   {compiler.version if compiler else 'none'}")
    print(f"TensorFlow: {build.tf.__version__}")
    print(f"cache:      {build.cache_folder()}")
    print(f"library:    {path.name if path else 'not built'}")
    print(f"available:  {'yes' if library.available() else f'no: {library.reason()}'}")
    if library.available():
        print(f"vectors:    {selfcheck.instruction_set()}")
    return 0


def _test() -> int:
    worst = selfcheck.worst_error()
    print(f"largest relative error against dense TensorFlow: {worst:.1e} ({selfcheck.instruction_set()})")
    return 0 if worst < selfcheck.TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
