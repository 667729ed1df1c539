"""No flag without code: what a program's class offers is read somewhere."""

import ast
import importlib
import inspect
import textwrap

import pytest

from experiments.config import flags_of
from experiments.settings import Settings

# {program: (its class, other modules that read its fields)}
PROGRAMS = {
    "prune": ("Prune", "running"),
    "sweep": ("Sweep", "running"),
    "dynamic": ("Dynamic", "running"),
    "lottery": ("Lottery",),
    "rewinding": ("Rewinding", "lottery"),
    "early_bird": ("EarlyBird",),
    "sanity": ("Sanity",),
    "papers": ("Papers",),
    "select": ("Select",),
}


def attributes_in(code):
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def read_by(*names):
    found = set().union(*(attributes_in(importlib.import_module(f"experiments.{name}")) for name in names))
    for method in ("load_data", "model_maker", "method_options", "folder"):
        if method in found:
            member = vars(Settings)[method]
            found |= attributes_in(member.fget if isinstance(member, property) else member)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_is_read(program):
    kind, *others = PROGRAMS[program]
    cls = getattr(importlib.import_module(f"experiments.{program}"), kind)
    assert {field.name for field in flags_of(cls)} <= read_by(program, *others)


def test_a_flag_that_is_not_read_is_found():
    assert "score_per_class" in {field.name for field in flags_of(Settings)} - read_by("papers")
