"""Export a bundle: make the graph, compare it with the bundle, and only then write it."""

import importlib
import math
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from visto.bundle import Bundle, Exported, check_free
from visto.data.dataset import Dataset
from visto.errors import UsageError
from visto.prediction.parts import preprocess_of, task_of
from visto.prediction.runtime import runtime
from visto.types import Task, Voice

DRIFT, DRIFT_INT8 = 0.5, 1.0  # points of the deciding figure

Exporter = Callable[[Bundle, Path, Dataset, bool, float, Voice], Exported]


def export(
    bundle: Bundle,
    out: Path,
    *,
    dataset: Dataset,
    to: str = "onnx",
    int8: bool = False,
    max_drift: float | None = None,
    voice: Voice,
) -> Exported:
    """Write ``bundle`` in the form ``to`` at ``out``, compared on the held-out images of ``dataset``.

    ``max_drift`` is in points (hundredths) of the deciding figure; None: 0.5, with ``int8`` 1. Raises GateError where
    the file would answer otherwise, or a step has no such form, and nothing is written then; UsageError, DataError,
    ModelError, ResourceError.
    """
    check_asked(bundle, out, to=to, int8=int8, max_drift=max_drift)
    allowed = (DRIFT_INT8 if int8 else DRIFT) if max_drift is None else max_drift
    return EXPORTERS[to](bundle, out, dataset, int8, allowed, voice)


def check_asked(bundle: Bundle, out: Path, *, to: str, int8: bool, max_drift: float | None) -> None:
    """Raises, before the data is read, what ``export`` would raise whatever the data: UsageError, ResourceError."""
    if to not in EXPORTERS:
        raise UsageError(f"no form {to!r}", expected=f"one of {', '.join(EXPORTERS)}")
    if max_drift is not None and not (math.isfinite(max_drift) and max_drift >= 0):
        raise UsageError(f"a drift of {max_drift:g} points", expected="0 or more")
    task = task_of(bundle.manifest)
    if task.sequences and int8:
        raise UsageError("--int8 with a model on sequences", hint="leave it out: it is exported in float32")
    series = task.sequences and not preprocess_of(bundle.manifest, bundle.path).fit.every
    check_free(out, run_py(task, series))
    check_exportable()


def run_py(task: Task[Any, Any], series: bool) -> str:
    """The words of ``run.py``, which answers images, clips or ``series``, or foretells these."""
    name = "run.py.txt" if not task.sequences else "run_series.py.txt" if series else "run_clips.py.txt"
    name = "run_forecast.py.txt" if task.needs == "forecast" else name
    return (files("visto.exporting") / name).read_text(encoding="utf-8")


def check_exportable() -> None:
    """Raises UsageError where what makes and runs graphs is not installed."""
    runtime()
    for name in ("onnxscript", "onnx_ir"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"this needs {error.name}, which is not installed", hint="install it: pip install 'visto[export]'"
            ) from error


def _onnx(bundle: Bundle, out: Path, dataset: Dataset, int8: bool, allowed: float, voice: Voice) -> Exported:
    check_exportable()
    from visto.exporting.onnx_file import export_onnx

    return export_onnx(bundle, out, dataset, int8, allowed, voice)


EXPORTERS: dict[str, Exporter] = {"onnx": _onnx}
