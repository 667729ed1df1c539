"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def write_whole(file: str | os.PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Yields a stream to a new file beside `file`, which takes the name `file` when all is written.

    After an error, a full disk or a kill, `file` is what it was before.

    Args:
        file: the name the finished file gets.
        mode: "wb" or "w".

    Example:
        >>> import tempfile, os
        >>> name = os.path.join(tempfile.mkdtemp(), "a.txt")
        >>> with write_whole(name, "w") as stream:
        ...     _ = stream.write("all of it")
        >>> open(name).read()
        'all of it'
    """
    target = pathlib.Path(file)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def write_whole_folder(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a new folder beside `folder`, which takes the name `folder` when all is written, or is removed.

    Args:
        folder: the name the finished folder gets; nothing has it yet.

    Example:
        >>> import tempfile, os
        >>> name = os.path.join(tempfile.mkdtemp(), "a")
        >>> with write_whole_folder(name) as unfinished:
        ...     _ = (unfinished / "b.txt").write_text("all of it")
        >>> os.listdir(name)
        ['b.txt']
    """
    target = pathlib.Path(folder)
    unfinished = pathlib.Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield unfinished
        os.chmod(unfinished, 0o777 & ~_umask())
        os.rename(unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _umask() -> int:
    """The process's umask: mkstemp makes files that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
