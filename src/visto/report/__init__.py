"""The verb ``report``: one HTML file on what a model can do and where it errs, which needs no network."""

from visto.report.place import report_path
from visto.report.run_files import RunFiles, read_learning_curve, read_run, read_tuning, trained_from
from visto.report.write import write_report

__all__ = ["RunFiles", "read_learning_curve", "read_run", "read_tuning", "report_path", "trained_from", "write_report"]
