"""Finds a data set that TFDS has prepared, or has TFDS prepare it from its official files.

TFDS is imported inside functions only: it is slow to import.
"""

from __future__ import annotations

import contextlib
import io
import logging
import pathlib
import socket
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from tf_pai.datasets.cache import cache_folder, fingerprint_names, publish
from tf_pai.registry import nearest


def open_builder(name: str, data_dir: str | pathlib.Path | None) -> Any:
    """Returns the TFDS builder of a prepared data set, preparing it first where that is needed.

    Args:
        name: a TFDS name, with a configuration if need be: "mnist", "imagenette/160px-v2".
        data_dir: folder that holds the set as TFDS prepares it (in `<name>/<version>/`) or its official files (in
            `<name>/`). It is only read: official files are prepared into `cache_folder()`. None: TFDS' own
            folder, downloading what is missing.

    Raises:
        ValueError: the name is unknown, the folder holds no such set, a file is corrupt, or there is no network.
    """
    with quiet():
        if data_dir is None:
            builder = _make_builder(name, None)
            return builder if builder.is_prepared() else _prepare(name, builder, None)
        folder = existing_folder(data_dir)
        builder = _make_builder(name, folder)
        if builder.is_prepared():
            return builder
        official = folder / builder.name
        if not official.is_dir():
            raise ValueError(f"data_dir holds no {name!r}. Received: data_dir={str(folder)!r}.{_remedy(builder)}")
        builder = _make_builder(name, cache_folder() / f"{builder.name}-{fingerprint_names(official)}")
        return builder if builder.is_prepared() else _prepare(name, builder, official)


def existing_folder(data_dir: str | pathlib.Path) -> pathlib.Path:
    """Returns `data_dir` as an absolute path.

    Raises:
        ValueError: there is no such folder.
    """
    folder = pathlib.Path(data_dir).expanduser().absolute()
    if not folder.is_dir():
        raise ValueError(f"data_dir is a folder that exists. Received: data_dir={str(data_dir)!r}, which does not.")
    return folder


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences TFDS: its progress bars, its prints, its warnings on itself and those of its downloads."""
    from absl import logging as absl_logging

    verbosity, downloads = absl_logging.get_verbosity(), logging.getLogger("urllib3")
    level = downloads.level
    absl_logging.set_verbosity(absl_logging.ERROR)
    downloads.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
        downloads.setLevel(level)


def _make_builder(name: str, data_dir: pathlib.Path | None) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        raise ValueError(
            f"TFDS knows no such data set. Received: {name!r}.{nearest(name, tfds.list_builders())}"
        ) from None


def _prepare(name: str, builder: Any, official: pathlib.Path | None) -> Any:
    """Prepares a set in a temporary folder, then moves it to where `builder` expects it; returns its reader."""
    import tensorflow_datasets as tfds

    _require_files(builder, official)
    root = pathlib.Path(builder.data_dir_root)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".preparing-") as scratch:
        worker = _make_builder(name, pathlib.Path(scratch))
        # Extracted files are looked up by name alone, and MNIST and Fashion-MNIST use the same names: with an
        # extract_dir in common, the second set would silently be prepared from the first one's images.
        config = tfds.download.DownloadConfig(
            manual_dir=official, extract_dir=pathlib.Path(scratch, "extracted"), try_download_gcs=False
        )
        try:
            worker.download_and_prepare(download_dir=root / "downloads", download_config=config)
        except Exception as error:  # TFDS raises its own, OSErrors of many libraries, and AssertionErrors
            where = f"the official files in {official}" if official else "a download"
            raise ValueError(f"Could not prepare {name!r} from {where}: {error}.{_remedy(builder)}") from error
        publish(pathlib.Path(worker.data_path), pathlib.Path(builder.data_path))
    return _make_builder(name, root)


def _require_files(builder: Any, official: pathlib.Path | None) -> None:
    """Refuses at once what TFDS would refuse after minutes of attempts to reach the network."""
    files = {url: info.filename for url, info in (builder.url_infos or {}).items()}
    by_hand = bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)
    if official is None:
        if by_hand or (files and not _reachable(next(iter(files)))):
            raise ValueError(f"{builder.name!r} is not on this machine, and cannot be downloaded.{_remedy(builder)}")
        return
    here = sorted(file.name for file in official.iterdir())
    # Each configuration needs some of the files of a set with configurations; which, only TFDS knows.
    enough = not files or (any if builder.builder_config else all)(file in here for file in files.values())
    if not (by_hand or enough or _reachable(next(iter(files)))):
        raise ValueError(
            f"Official files of {builder.name!r} are missing, and cannot be downloaded. "
            f"Received: {str(official)!r} with {', '.join(here) or 'nothing in it'}.{_remedy(builder)}"
        )


def _reachable(url: str) -> bool:
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(url).hostname, None)
    except OSError:
        return False
    return True


def _remedy(builder: Any) -> str:
    """Says which files go where."""
    files = ", ".join(sorted(info.filename for info in (builder.url_infos or {}).values() if info.filename))
    manual = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
    prepared = pathlib.Path(builder.data_path).relative_to(builder.data_dir_root)
    return (
        f" Put the official files{files and f' ({files})'} into FOLDER/{builder.name}/, or the set as TFDS prepares it "
        f"into FOLDER/{prepared}/, and pass data_dir=FOLDER.{manual and f' TFDS says: {manual}'}"
    )
