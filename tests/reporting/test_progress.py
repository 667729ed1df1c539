"""The progress bar."""

import io
import sys

import pytest

from tf_pai.reporting.progress import progress


@pytest.mark.parametrize("verbose", [0, 1, "auto"])
def test_all_items_come_in_order(verbose):
    assert list(progress([3, 1, 2], "rounds", verbose)) == [3, 1, 2]


def test_a_bar_shows_title_and_time_left_when_asked_to(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    list(progress([1, 2], "pruning rounds", 1))
    assert "pruning rounds" in stream.getvalue() and "0:00:0" in stream.getvalue()


def test_one_item_needs_no_bar(capsys):
    assert list(progress([1], "rounds", 1)) == [1]
    assert capsys.readouterr().err == ""
