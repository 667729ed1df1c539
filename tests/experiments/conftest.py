"""Experiments turn op determinism on for the process; Keras compiles nothing by XLA under it, as other tests do."""

import pytest
from tensorflow.python.framework.config import disable_op_determinism


@pytest.fixture(autouse=True)
def _free_order():
    """Turns op determinism off again."""
    yield
    disable_op_determinism()
