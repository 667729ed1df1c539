"""The report as a value: JSON there and back."""

import json

import numpy as np
import pytest

from tf_pai.reporting import Report, Row
from tf_pai.reporting.document import plain


def test_json_there_and_back(full, tmp_path):
    text = full.to_json(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(text)
    again = Report.from_dict(json.loads(text))
    assert again.to_dict() == full.to_dict()
    assert again.rows == full.rows and isinstance(again.rows[0], Row)
    assert str(again) == str(full) and again.to_html() == full.to_html()


def test_values_become_what_json_can_hold():
    values = {1: np.float32(0.5), "a": (np.int64(3), float("nan"), np.inf), "b": np.arange(2), "c": None, "d": print}
    assert plain(values) == {"1": 0.5, "a": [3, None, None], "b": [0, 1], "c": None, "d": str(print)}
    assert plain(True) is True


def test_a_row_knows_its_density():
    assert Row("fc/kernel", (2, 5), total=10, kept=3).density == pytest.approx(0.3)


def test_files_are_whole(full, tmp_path):
    page = full.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == page
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html"]
