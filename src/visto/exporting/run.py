"""Export a bundle: make the graph, compare it with the bundle, and only then write it."""

import importlib
import math
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from visto.bundle import Bundle, Exported, check_free
from visto.data.dataset import Dataset
from visto.errors import UsageError
from visto.prediction.runtime import runtime
from visto.types import Voice

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
    check_asked(out, to=to, max_drift=max_drift)
    allowed = (DRIFT_INT8 if int8 else DRIFT) if max_drift is None else max_drift
    return EXPORTERS[to](bundle, out, dataset, int8, allowed, voice)


def check_asked(out: Path, *, to: str, max_drift: float | None) -> None:
    """Raises, before the data is read, what ``export`` would raise whatever the data: UsageError, ResourceError."""
    if to not in EXPORTERS:
        raise UsageError(f"no form {to!r}", expected=f"one of {', '.join(EXPORTERS)}")
    if max_drift is not None and not (math.isfinite(max_drift) and max_drift >= 0):
        raise UsageError(f"a drift of {max_drift:g} points", expected="0 or more")
    check_free(out, run_py())
    check_exportable()


def run_py() -> str:
    """The words of ``run.py``."""
    return (files("visto.exporting") / "run.py.txt").read_text(encoding="utf-8")


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
