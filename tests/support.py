"""Where the tests find the shared data beside the repository."""

from pathlib import Path

import pytest


def shared_path(*parts: str) -> Path:
    """Returns `../shared/parts`, or skips the test where it is absent."""
    path = Path(__file__).resolve().parents[2].joinpath("shared", *parts)
    if not path.exists():
        pytest.skip(f"shared data is absent: {'/'.join(parts)}")
    return path
