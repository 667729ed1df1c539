"""The table in a terminal of 80 columns."""

import io

import pytest
from rich.console import Console

import tf_pai
from tf_pai.reporting import Report, Row
from tf_pai.reporting.table import show


def test_summary_prints_the_table_and_returns_the_report(pruned, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    report = tf_pai.summary(pruned)
    out = capsys.readouterr().out
    assert report.to_dict() == tf_pai.report(pruned).to_dict()
    for text in (
        "small: pruned by snip to 50.0% sparsity",
        "fc1/kernel",
        "6x8",
        "36/72",
        "155->83",
        "What gets faster",
    ):
        assert text in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("verbose", [0, 1])
def test_pruning_prints_it_when_asked_to(verbose, plain_model, capsys):
    tf_pai.prune_at_init(plain_model, "magnitude", 0.5, verbose=verbose)
    assert ("pruned by magnitude" in capsys.readouterr().out) == bool(verbose)


def test_long_names_and_large_numbers_fit_80_columns(full):
    path = "backbone/" * 12 + "kernel"
    full.rows.append(Row(path, (3, 3, 2048, 20480), 10**11, 10**10, 0.123456, 0.9, 9.99e15, 9.99e14))
    text = str(full)
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(text.split()).count("backbone/") >= 10 and "999T" in text.replace("\n", "")


def test_everything_a_run_adds_is_printed_as_it_is(full):
    text = str(full)
    for expected in ("sparse_accuracy", "0.97", "Sizes <of files>", "[bold]&", "learning_rate", "0.1"):
        assert expected in text


def test_a_console_of_the_users_own_is_used(full):
    stream = io.StringIO()
    show(full, Console(file=stream, width=120))
    assert "fc1/kernel" in stream.getvalue()


def test_layers_that_were_emptied_are_named(full):
    full.warnings = ["Emptied, so that no signal passes: fc1/kernel."]
    assert "Warning: Emptied, so that no signal passes: fc1/kernel." in str(full)


def test_it_says_that_nothing_gets_faster(pruned, plain_model):
    assert "What gets faster: nothing in this form." in str(tf_pai.report(pruned))
    assert "Nothing is pruned" in str(tf_pai.report(plain_model))


def test_an_empty_report_can_be_printed():
    assert "empty: not pruned" in str(Report("empty", []))
