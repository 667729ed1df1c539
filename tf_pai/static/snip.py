"""SNIP as a method.

what: single weights; how many: global; which: `SNIP`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import SNIP
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "snip",
    survey_name="SNIP",
    year=2019,
    reference="Lee et al., ICLR 2019",
    track="static",
    table_row="Table 2, row 4",
    needs_data=True,
)
def snip() -> StaticMethod:
    """Returns SNIP's choice in each topic."""
    return StaticMethod(SNIP())
