"""Verdicts: one sentence for each check, and the figures behind it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from tf_pai.sanity.statistics import welch

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        passed: whether this speaks for a winning ticket; None where it does not decide.
        verdict: one sentence.
        figures: the statistics behind it: seeds, means, deviations, the test used.
    """

    check: str
    passed: bool | None
    verdict: str
    figures: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What all checks found.

    Attributes:
        findings: {check: Finding}, in the order they were asked for.
    """

    findings: dict[str, Finding]

    @property
    def wins(self) -> bool:
        """Whether no check speaks against a winning ticket."""
        return all(finding.passed is not False for finding in self.findings.values())

    def __str__(self) -> str:
        return "\n".join(f"{finding.check}: {finding.verdict}" for finding in self.findings.values())

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON's types."""
        return {name: dataclasses.asdict(finding) for name, finding in self.findings.items()}


def compared(check: str, control: str, found: Sequence[float], controls: Sequence[float], margin: float) -> Finding:
    """Compares the networks as found with a control: the ticket wins where the control is worse.

    Args:
        check: name of the check.
        control: what the control is called.
        found: accuracies of the network as found, in [0, 1].
        controls: accuracies of the control.
        margin: the control counts as not worse, and not only as not shown to be worse, where the one-sided 95 % bound
            of its loss stays below this.

    Example:
        >>> print(compared("shuffle", "shuffled masks", [0.970, 0.971], [0.972, 0.969], margin=0.001).verdict)
        not a winning ticket: shuffled masks 97.05 ± 0.21 vs 97.05 ± 0.07 as found (p = 0.5)
    """
    loss = welch(found, controls)
    worse = loss.p < LEVEL
    head = "as a winning ticket should be" if worse else "not a winning ticket"
    text = f"{head}: {control} {spread(controls)} vs {spread(found)} as found (p = {loss.p:.2g})"
    if not worse and loss.at_most <= margin:
        text += f"; not worse by more than {100 * margin:g} points (one-sided 95 %)"
    figures = {
        "seeds": len(found),
        "found": list(found),
        "control": list(controls),
        "loss": loss.mean,
        "interval": [loss.low, loss.high],
        "one-sided bounds": [loss.at_least, loss.at_most],
        "p": loss.p,
        "test": "Welch's t, one-sided",
    }
    return Finding(check, worse, text, figures)


def spread(accuracies: Sequence[float]) -> str:
    """Returns mean and sample deviation in percent.

    >>> spread([0.97, 0.98])
    '97.50 ± 0.71'
    """
    mean = f"{100 * statistics.fmean(accuracies):.2f}"
    return mean if len(accuracies) < 2 else f"{mean} ± {100 * statistics.stdev(accuracies):.2f}"
