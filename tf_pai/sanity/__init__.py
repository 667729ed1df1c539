"""Sanity checks: does the ticket win, and against what (survey 3.2, "sanity checks")?"""

from tf_pai.sanity import budget, corrupted, instability, rates  # noqa: F401, each registers its checks
from tf_pai.sanity.check import check_ticket
from tf_pai.sanity.controls import CHECKS
from tf_pai.sanity.verdict import Finding, Verdict

__all__ = ["CHECKS", "Finding", "Verdict", "check_ticket"]
