"""How a path becomes a data set: find the reader that recognises it, read, give every item a split."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from visto.data.dataset import Dataset
from visto.data.group import grouped
from visto.data.split import assign
from visto.errors import DataError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A reader, a quick look that says whether it can read a path, and one line for ``visto formats``."""

    read: Callable[[Path], Dataset]
    recognises: Callable[[Path], bool]
    describe: str


def read_with(
    formats: Mapping[str, Format], path: Path, *, format: str | None, split_seed: int, group_by: str | None
) -> Dataset:
    """Read ``path`` with the format named, or the first in ``formats`` that recognises it."""
    if format is not None and format not in formats:
        raise UsageError(f"{format!r} is not a format", expected=f"one of {', '.join(formats)}")
    try:
        found = formats[format] if format is not None else _detect(formats, path)
        source = str(path.resolve()) if path.exists() else str(path)
        return assign(grouped(replace(found.read(path), source=source), group_by), seed=split_seed)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DataError(f"{error.filename or path} cannot be read: {reason}") from error


def _detect(formats: Mapping[str, Format], path: Path) -> Format:
    for entry in formats.values():
        if entry.recognises(path):
            return entry
    expected = "; ".join(entry.describe for entry in formats.values())
    if not path.exists():
        raise DataError(f"{path} does not exist", expected=expected)
    raise DataError(f"{path} is a file of no format that is read here", expected=expected)
