"""Where a report may be written: beside its bundle, and never over what is no report."""

from pathlib import Path

from visto.bundle import check_outside
from visto.errors import UsageError
from visto.files import as_resource_error

_BEGINS = b"<!doctype html>"


def report_path(bundle: Path, out: str | Path | None) -> Path:
    """``out``, or ``X.report.html`` beside ``X.visto``. Asked before the long work, so that a slip shows at once.

    Raises UsageError where that is inside a bundle, whose every byte is checked, or a file that is no report (a
    list of the data, perhaps); ResourceError where the folder is not there.
    """
    path = Path(out) if out is not None else bundle.with_name(bundle.name.removesuffix(".visto") + ".report.html")
    try:
        path.parent.resolve(strict=True)
        check_outside(path)
        if path.exists() and not _is_page(path):
            raise UsageError(f"{path} exists and is no report", hint="choose another name with -o, or remove it first")
    except OSError as error:
        raise as_resource_error(error, path) from error
    return path


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGINS)) == _BEGINS
