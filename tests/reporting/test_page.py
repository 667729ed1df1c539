"""The page: well-formed, alone, readable by machine and by ear."""

import html.parser
import re

import pytest

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(html.parser.HTMLParser):
    """Collects tags and text, and checks that every tag that is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(full):
    full.warnings = ["Emptied, so that no signal passes: fc1/kernel."]
    full.notes = ["A note."]
    return full.to_html()


def test_it_is_well_formed_and_accessible(page):
    parsed = Page(page)
    assert parsed.all("html") == [{"lang": "en"}] and len(parsed.all("h1")) == len(parsed.all("main")) == 1
    assert "Pruning report: small" in parsed.text
    assert [svg["role"] for svg in parsed.all("svg")] == ["img"] * 3
    assert all(svg["aria-label"] for svg in parsed.all("svg"))
    assert all(cell.get("scope") for cell in parsed.all("th"))


def test_nothing_comes_from_elsewhere(page):
    assert not re.search(r"https?:|//[a-z]|@import|url\(\s*['\"]?[^#'\"\s]", page, re.IGNORECASE)
    parsed = Page(page)
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in parsed.tags}
    links = [
        value for _, attrs in parsed.tags for name, value in attrs.items() if name in ("src", "href", "xlink:href")
    ]
    assert links and all(link.startswith("#") for link in links)


def test_it_shows_what_the_run_knows(page):
    text = " ".join(Page(page).text)
    expected = ["sparse_accuracy", "0.97", "Warning:", "fc1/kernel", "A note.", "learning_rate", "Sizes <of files>"]
    for part in [*expected, "--note='<&>'", "seed=7", "[bold]&", "keras", "What gets faster"]:
        assert part in text


def test_names_cannot_break_out(full):
    full.name = '</title><script>alert("1")</script>'
    full.histogram, full.history = None, {"acc</svg><script>": [0.1]}
    assert "<script" not in full.to_html()
    Page(full.to_html())


def test_it_has_a_light_and_a_dark_form(page):
    assert "prefers-color-scheme: dark" in page and 'content="light dark"' in page
    assert _contrast("#1c2430", "#ffffff") > 7 and _contrast("#e4e8ec", "#14181d") > 7
    for ink, paper in (("#566273", "#f3f6f9"), ("#a3aebb", "#1d232a"), ("#8a4b08", "#fff4e5"), ("#ffc078", "#33260f")):
        assert ink in page and paper in page and _contrast(ink, paper) > 4.5


def _contrast(one, other):
    """WCAG 2's contrast ratio."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_notebook_gets_the_content_alone(full):
    fragment = full._repr_html_()
    assert fragment.startswith('<div class="tf-pai">') and "<html" not in fragment
    rules = re.findall(r"^\s*([^{}@\n]+) \{", fragment, re.MULTILINE)
    assert rules and all(part.strip().startswith(".tf-pai") for rule in rules for part in rule.split(", "))


def test_a_long_table_is_thinned_out_and_says_so(full):
    full.sections = {"Updates": [{"number": n} for n in range(101)]}
    text = " ".join(Page(full.to_html()).text)
    assert "35 of 101 rows, evenly spaced" in text  # every third: 0, 3 ... 99, and the last
    assert " 99 " in text and " 100 " in text and " 98 " not in text
