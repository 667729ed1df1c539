"""tf_pai: pruning at initialization for Keras 3 and TensorFlow."""

# ruff: noqa: E402 - the backend is checked before Keras is imported

import os


def _require_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise ImportError(
            "tf_pai runs on Keras' TensorFlow backend. "
            f"Received: backend {backend!r}. Set KERAS_BACKEND=tensorflow before importing keras."
        )


_require_tensorflow(os.environ.get("KERAS_BACKEND") or "tensorflow")  # before Keras fails for want of that backend

import keras

_require_tensorflow(keras.backend.backend())

from tf_pai import callbacks, criteria, distributions, layers, schedules, structures
from tf_pai.compute import to_dense, to_sparse
from tf_pai.export import ExportReport, benchmark, export_saved_model, export_tflite, shrink
from tf_pai.formulation import (
    SPARSE_SELECTION,
    SPARSE_TRAINING,
    TRADITIONAL,
    Recipe,
    RunResult,
    paradigm_of,
    recipe_of,
    run,
)
from tf_pai.layers import PrunableLayer, strip
from tf_pai.mask_files import load_masks, save_masks
from tf_pai.masks import get_masks, set_masks, sparsity, verify
from tf_pai.registry import list_methods
from tf_pai.reporting import Report, report, summary
from tf_pai.sanity import check_ticket
from tf_pai.selection import select_subnet
from tf_pai.static import prune_at_init, score
from tf_pai.tickets import Ticket, find_ticket, load_ticket, save_ticket

__all__ = [
    "SPARSE_SELECTION",
    "SPARSE_TRAINING",
    "TRADITIONAL",
    "ExportReport",
    "PrunableLayer",
    "Recipe",
    "Report",
    "RunResult",
    "Ticket",
    "benchmark",
    "callbacks",
    "check_ticket",
    "criteria",
    "distributions",
    "export_saved_model",
    "export_tflite",
    "find_ticket",
    "get_masks",
    "layers",
    "list_methods",
    "load_masks",
    "load_ticket",
    "paradigm_of",
    "prune_at_init",
    "recipe_of",
    "report",
    "run",
    "save_masks",
    "save_ticket",
    "schedules",
    "score",
    "select_subnet",
    "set_masks",
    "shrink",
    "sparsity",
    "strip",
    "structures",
    "summary",
    "to_dense",
    "to_sparse",
    "verify",
]
