"""Writes the generated part of the README: `python -m tests.structure.readme`."""

from __future__ import annotations

import re

from tests.structure.imports import ROOT

BEGIN, END = "<!-- methods: made by `make readme` -->", "<!-- end of methods -->"
TITLES = {
    "static": "Static masks, chosen at initialization: `prune_at_init`",
    "dynamic": "Dynamic masks: `tf_pai.callbacks`",
    "selection": "Sparse selection: `select_subnet`",
    "tickets": "Lottery tickets: `find_ticket`",
    "traditional": "Traditional pruning and dense training, the baselines",
}


def method_tables() -> str:
    """The registered methods as one Markdown table per track."""
    import tf_pai
    import tf_pai.formulation  # registers the baselines

    parts = []
    for track, title in TITLES.items():
        infos = sorted(tf_pai.list_methods(track), key=lambda info: (info.year, info.name))
        if infos:
            rows = [
                f"| `{i.name}` | {i.survey_name} | {i.year} | {i.reference} | {i.table_row or '-'} "
                f"| {'yes' if i.needs_data else 'no'} |"
                for i in infos
            ]
            head = "| name | survey | year | reference | in the survey | needs data |\n|---|---|---|---|---|---|\n"
            parts.append(f"**{title}**\n\n{head}" + "\n".join(rows))
    return "\n\n".join(parts)


def with_methods(text: str) -> str:
    """The README with its method tables made anew."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{BEGIN}\n{method_tables()}\n{END}", text, flags=re.DOTALL)


def python_examples(text: str) -> list[str]:
    """The README's Python examples, in order."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(with_methods(file.read_text()))
