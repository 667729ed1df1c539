"""Iter-SNIP as a method.

what: single weights; how many: global; which: `IterSNIP`; how: 60 exponential rounds; weights: the initial ones.
"""

from tf_pai.criteria import IterSNIP
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "iter_snip",
    survey_name="Iter-SNIP",
    year=2021,
    reference="de Jorge et al., ICLR 2021",
    track="static",
    table_row="",
    needs_data=True,
)
def iter_snip() -> StaticMethod:
    """Returns Iter-SNIP's choice in each topic."""
    return StaticMethod(IterSNIP(), schedule="iterative:60")
