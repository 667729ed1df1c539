"""Run folders: a folder belongs to one call, and says so when another one comes."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from tf_pai.files import write_whole


def begin(folder: pathlib.Path | None, asked: dict[str, Any], name: str = "run.json") -> int:
    """Writes what was asked into a new folder, or checks that the folder was begun with it; returns the seed.

    Args:
        folder: where the run keeps its state; None: nowhere.
        asked: the call as JSON, its "seed" in it; one that is None is drawn, and remembered.
        name: the file's name.

    Raises:
        ValueError: another call has begun the folder, or its file is damaged.
    """
    drawn = int(np.random.randint(2**31)) if asked["seed"] is None else asked["seed"]
    if folder is None:
        return drawn
    file = folder / name
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with write_whole(file, "w") as stream:
            json.dump({**asked, "drawn seed": drawn}, stream, indent=2)
        return drawn
    stored = read_json(file)
    for key, value in asked.items():
        if stored.get(key) != value:
            raise ValueError(
                f"A run_dir belongs to one run. Received: {key}={value!r}, but {str(folder)!r} was begun with "
                f"{key}={stored.get(key)!r}. Nothing was changed: use another folder, or the old arguments."
            )
    return stored["drawn seed"]


def read_json(file: pathlib.Path) -> Any:
    """Returns what a JSON file of a run folder holds.

    Raises:
        ValueError: the file is damaged; it is left as it is.
    """
    try:
        return json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"A run_dir holds whole files. Received: {str(file)!r}, which is damaged. Nothing was changed: put a whole "
            "copy in its place, or use another folder."
        ) from error
