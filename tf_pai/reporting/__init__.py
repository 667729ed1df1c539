"""Reports on a pruned model: a table in the terminal, JSON, plots, one self-contained page; and logs of a training."""

from tf_pai.reporting.document import Report, Row
from tf_pai.reporting.logs import JSONLLogger, SparsityTensorBoard, history_of, read_log
from tf_pai.reporting.making import report, summary

__all__ = [
    "JSONLLogger",
    "Report",
    "Row",
    "SparsityTensorBoard",
    "history_of",
    "read_log",
    "report",
    "summary",
]
