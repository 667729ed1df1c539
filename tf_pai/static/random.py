"""Random as a method.

what: single weights; how many: global; which: `Random`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import Random
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "random",
    survey_name="Random",
    year=2022,
    reference="Liu et al., ICLR 2022",
    track="static",
    table_row="",
    needs_data=False,
)
def random() -> StaticMethod:
    """Returns Random's choice in each topic."""
    return StaticMethod(Random())
