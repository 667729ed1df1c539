"""Files for others: SavedModels and TFLite files that hold what was not pruned, and physically smaller models."""

from tf_pai.export.benchmarking import benchmark
from tf_pai.export.report import ExportReport
from tf_pai.export.saved_model import export_saved_model
from tf_pai.export.shrinking import shrink
from tf_pai.export.tflite import export_tflite

__all__ = ["ExportReport", "benchmark", "export_saved_model", "export_tflite", "shrink"]
