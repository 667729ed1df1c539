"""The kernels are built once, into the user's cache; the other tests of this folder use that build."""

import pytest

from tf_pai import kernels


@pytest.fixture(scope="session")
def built():
    """Skips, visibly, where the kernels cannot be built."""
    if not kernels.available():
        pytest.skip(f"the native kernels are not available: {kernels.reason()}")
