"""The folder that holds what was prepared or unpacked, and how things get into it whole or not at all."""

from __future__ import annotations

import hashlib
import os
import pathlib


def cache_folder() -> pathlib.Path:
    """Returns `$TF_PAI_CACHE`, or ~/.cache/tf_pai/datasets where that is not set; makes it where it is missing."""
    folder = pathlib.Path(os.environ.get("TF_PAI_CACHE") or "~/.cache/tf_pai/datasets").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(source: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a finished folder to its final name, unless another process did so first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)
    except OSError:
        if not target.is_dir():
            raise


def fingerprint_names(folder: pathlib.Path) -> str:
    """Returns 12 hexadecimal digits that depend on the names and sizes of the files in a folder."""
    files = sorted((str(file.relative_to(folder)), file.stat().st_size) for file in folder.rglob("*") if file.is_file())
    return hashlib.sha256(repr(files).encode()).hexdigest()[:12]


def fingerprint_content(file: pathlib.Path) -> str:
    """Returns 12 hexadecimal digits that depend on the bytes of a file."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
