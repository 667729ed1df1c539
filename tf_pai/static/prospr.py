"""ProsPr as a method.

what: single weights; how many: global; which: `ProsPr`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import ProsPr
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "prospr",
    survey_name="ProsPr",
    year=2022,
    reference="Alizadeh et al., ICLR 2022",
    track="static",
    table_row="",
    needs_data=True,
)
def prospr() -> StaticMethod:
    """Returns ProsPr's choice in each topic."""
    return StaticMethod(ProsPr())
