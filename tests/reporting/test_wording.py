"""Figures as text."""

import pytest

from tf_pai.reporting.wording import percent, short, size, times, value


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (999.6, "1k"), (1234, "1.23k"), (65_536, "65.5k"), (999_999, "1M"), (8.189e9, "8.19G")],
)
def test_counts_in_three_digits(number, text):
    assert short(number) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.95, "95.0%"),
        (1 - 1e-6, ">99.9%"),
        (1e-6, "<0.1%"),
        (0.9994, "99.9%"),
        (0.9995, ">99.9%"),
        (None, "-"),
    ],
)
def test_only_all_and_nothing_read_so(fraction, text):
    assert percent(fraction) == text


def test_bytes_shapes_and_values():
    assert (size(12), size(102_121_888)) == ("12 B", "102 MB")
    assert times((3, 3, 64, 128)) == "3x3x64x128"
    assert [value(item) for item in (None, 0.123456, 3, "x")] == ["-", "0.1235", "3", "x"]
