"""What every pre-selected-mask method promises, on every family of models."""

import os

import numpy as np
import pytest

from tf_pai.testing import FAMILIES, check_method, check_mixed_precision, static_methods

NAMES, KINDS = static_methods(), list(FAMILIES)
ALL = [(name, kind) for name in NAMES for kind in KINDS]
# Each method and each family at least once; the whole product where TF_PAI_TEST_ALL says so.
SOME = [(NAMES[i % len(NAMES)], KINDS[i % len(KINDS)]) for i in range(max(len(NAMES), len(KINDS)))]
PAIRS = ALL if os.environ.get("TF_PAI_TEST_ALL") else SOME
CANNOT = "walk"  # what PHEW says of a graph that is not known, or has an operation it cannot walk through


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, kind", PAIRS)
def test_promises(name, kind):
    try:
        check_method(name, kind)
    except ValueError as error:
        assert name == "phew" and CANNOT in str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES if os.environ.get("TF_PAI_TEST_ALL") else ["snip", "grasp", "synflow"])
def test_mixed_precision(name):
    check_mixed_precision(name)


def test_a_broken_method_is_caught(monkeypatch):
    """The checks can fail: a method that keeps one weight too few does not pass."""
    import tf_pai.testing.checking as checking

    honest = checking.connections

    def one_fewer(model):
        masks = honest(model)
        path = next(iter(masks))
        masks[path].flat[np.flatnonzero(masks[path])[0]] = False
        return masks

    monkeypatch.setattr(checking, "connections", one_fewer)
    with pytest.raises(AssertionError, match="keeps round"):
        check_method("magnitude", "sequential")
