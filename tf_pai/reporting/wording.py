"""Figures and sentences that the table and the page have in common."""

from __future__ import annotations

from typing import Any

from tf_pai.reporting.document import Report

_SUFFIXES = ("", "k", "M", "G", "T", "P", "E")


def short(number: float) -> str:
    """Returns a count in three digits.

    Example:
        >>> short(999), short(2359296), short(999_960)
        ('999', '2.36M', '1M')
    """
    size = 0
    while abs(number) >= 999.5 and size < len(_SUFFIXES) - 1:
        number, size = number / 1000, size + 1
    return f"{number:.3g}{_SUFFIXES[size]}"


def percent(fraction: float | None) -> str:
    """Returns a fraction as a percentage, "-" where it is not known; only 0 and 1 read "0%" and "100%".

    Example:
        >>> percent(0.95), percent(1 - 1e-7), percent(None)
        ('95.0%', '>99.9%', '-')
    """
    if fraction is None:
        return "-"
    if fraction in (0, 1):
        return f"{fraction:.0%}"
    if fraction >= 0.9995:
        return ">99.9%"
    return "<0.1%" if fraction < 0.0005 else f"{fraction:.1%}"


def size(count: float) -> str:
    """Returns bytes in three digits.

    Example:
        >>> size(102_121_888)
        '102 MB'
    """
    text = short(count)
    suffix = text[-1] if text[-1].isalpha() else ""
    return f"{text.removesuffix(suffix)} {suffix}B"


def times(shape: tuple[int, ...]) -> str:
    """Returns a shape as "3x3x64x64"."""
    return "x".join(map(str, shape))


def value(item: Any) -> str:
    """Returns a value of a table as text: floats in four digits."""
    if item is None:
        return "-"
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def headline(report: Report) -> str:
    """Returns who pruned what to which sparsity, in one sentence."""
    if not report.is_pruned:
        return f"{report.name}: not pruned, {short(report.total)} prunable weights."
    by = f" by {report.method}" if report.method else ""
    asked = f" (asked: {percent(report.asked)})" if report.asked is not None else ""
    return f"{report.name}: pruned{by} to {percent(report.sparsity)} sparsity{asked}."


def totals(report: Report) -> list[tuple[str, str]]:
    """Returns (name, figure) of the totals."""
    found = [
        ("prunable weights", f"{report.total:,}, {report.kept:,} kept"),
        ("all parameters", f"{report.parameters:,}"),
        ("FLOPs per example", _fall(report.flops_dense, report.flops_sparse, short)),
        ("bytes", _fall(report.bytes_dense, report.bytes_sparse, size)),
    ]
    if report.is_pruned:
        found.insert(1, ("effective sparsity", percent(report.effective_sparsity)))
    if report.seconds is not None:
        found.append(("scored in", f"{report.seconds:.2g} s"))
    return found


def _fall(dense: float, sparse: float, form: Any) -> str:
    if dense == sparse or not dense:
        return form(dense)
    return f"{form(dense)} -> {form(sparse)} ({percent(sparse / dense)})"


def speed(report: Report) -> str:
    """Returns what gets faster, and what does not."""
    if not report.is_pruned:
        return "Nothing is pruned: the dense model's speed and size."
    sparse = [row.path for row in report.rows if row.is_sparse]
    if sparse:
        masked = [row.path for row in report.rows if row.got is not None and not row.is_sparse]
        rest = f"; zeros in dense arrays, as slow as the dense model: {len(masked)}" if masked else ""
        return (
            f"What gets faster: {len(sparse)} weights are held, trained and computed with as kept values only, by "
            f"native kernels on CPU, and so are their optimizer slots{rest}."
        )
    return (
        "What gets faster: nothing in this form. Pruned weights are zeros in dense arrays, so training and inference "
        "take the time and memory of the dense model. FLOPs and bytes on the right of an arrow are what code that "
        "skips zeros, and a file of kept values with one bit per weight, would need."
    )
