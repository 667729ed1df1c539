"""The tests of this folder compute with the native kernels."""

import pytest

from tests.kernels.conftest import built  # noqa: F401


@pytest.fixture(autouse=True)
def _kernels(built):  # noqa: F811
    """Skips where the kernels cannot be built."""
