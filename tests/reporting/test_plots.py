"""The plots, drawn without a display."""

import pytest

from tf_pai.reporting import Report, Row
from tf_pai.reporting.plots import LABELLED, NAMED, panels, svg


def test_one_panel_for_each_thing_known(full):
    assert [axes.get_title(loc="left") for axes in full.plot().axes] == [panel.title for panel in panels(full)]
    assert [panel.title for panel in panels(full)] == ["Density per weight", "Scores in the last round", "Training"]
    full.histogram, full.history = None, {}
    assert len(full.plot().axes) == 1


def test_bars_are_densities_and_marks_what_was_asked(full):
    axes = full.plot().axes[0]
    assert [bar.get_width() for bar in axes.patches] == [row.density for row in full.rows]
    assert list(axes.lines[0].get_xdata()) == [0.5, 0.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fc1/kernel", "fc2/kernel"]


def test_curves_are_the_accuracies_and_leave_gaps(full):
    lines = {line.get_label(): list(line.get_ydata()) for line in full.plot().axes[2].lines}
    assert set(lines) == {"accuracy", "val_accuracy"}
    assert lines["accuracy"][1] != lines["accuracy"][1]  # nan
    full.history = {"loss": [2.0, 1.0]}
    assert [line.get_label() for line in full.plot().axes[2].lines] == ["loss"]


def test_many_weights_are_bars_without_names():
    rows = [Row(f"fc{i}/kernel", (2, 2), 4, i % 4, asked=0.5) for i in range(NAMED + 1)]
    figure = Report("big", rows).plot()
    assert len(figure.axes[0].patches) == NAMED + 1
    assert "weights in model order" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_says_the_format(full, tmp_path, ending, start):
    full.plot(tmp_path / f"plot.{ending}")
    assert (tmp_path / f"plot.{ending}").read_bytes().startswith(start)


def test_another_ending_is_an_error(full, tmp_path):
    with pytest.raises(ValueError, match=r"A plot is saved as .png, .svg, .pdf. Received: .*plot.docx"):
        full.plot(tmp_path / "plot.docx")
    assert list(tmp_path.iterdir()) == []


def test_an_svg_for_a_page_is_the_same_each_time_and_says_what_it_shows(full):
    for panel in panels(full):
        text = svg(full, panel)
        assert text == svg(full, panel)
        assert f'aria-label="{panel.alt}"' in text and "currentColor" in text
    assert "36 kept, 36 pruned" in panels(full)[1].alt


@pytest.mark.parametrize("weights", [2, LABELLED + 3])
def test_a_table_over_steps_is_drawn(weights):
    names = [f"fc{i}/kernel" for i in range(weights)]
    rows = [{"step": step, **{name: (step + i) / 1000 for i, name in enumerate(names)}} for step in (0, 100, 200)]
    report = Report("moved", [], sections={"Density": rows, "One row": rows[:1], "No steps": [{"a": 1}, {"a": 2}]})
    (panel,) = panels(report)
    assert panel.title == "Density" and panel.alt.startswith("From step 0 to 200: fc0/kernel 0 to 0.2")
    (axes,) = report.plot().axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[row[name] for row in rows] for name in names]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == (names if weights <= LABELLED else [names[0], names[-1]])
