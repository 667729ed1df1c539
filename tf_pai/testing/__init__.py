"""What a method has to fulfil, as checks to run on a method of your own, and small models to run them on."""

from tf_pai.testing import subclassed
from tf_pai.testing.checking import check_method, check_mixed_precision, static_methods
from tf_pai.testing.families import FAMILIES, Family

__all__ = ["FAMILIES", "Family", "check_method", "check_mixed_precision", "static_methods", "subclassed"]
