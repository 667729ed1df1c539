"""FORCE as a method.

what: single weights; how many: global; which: `FORCE`; how: 60 exponential rounds; weights: the initial ones.
"""

from tf_pai.criteria import FORCE
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "force",
    survey_name="FORCE",
    year=2021,
    reference="de Jorge et al., ICLR 2021",
    track="static",
    table_row="",
    needs_data=True,
)
def force() -> StaticMethod:
    """Returns FORCE's choice in each topic."""
    return StaticMethod(FORCE(), schedule="iterative:60")
