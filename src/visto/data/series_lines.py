"""Series as JSON lines: ``{"series": [[x, y], …], "label": …}``, if wanted with ``id``, ``split`` and ``group``.

A step is a list of numbers, or one number; ``null`` is a number that is missing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_text
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.lists import list_file
from visto.data.series import Raw, dataset_of_series
from visto.data.walk import nfc
from visto.errors import DataError
from visto.types import Split

_EXPECTED = '{"series": [[0.1, 2], [0.3, 1.5]], "label": "circle"} in each line'
_BEGINNING = 1 << 16


def recognises_series_lines(path: Path) -> bool:
    """A .jsonl, or a folder with one, whose first object has a ``series``."""
    file = list_file(path)
    if file is None or file.suffix.lower() != ".jsonl":
        return False
    try:
        with file.open("rb") as opened:
            first = opened.read(_BEGINNING).lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    except OSError:
        return False
    # a long series is not whole in the beginning: its key is
    return first.startswith(b"{") and b'"series"' in first and b'"path"' not in first


def read_series_lines(path: Path, *, labelled: bool = True) -> Dataset:
    """Read a .jsonl, or the only list in a folder. A line that cannot be used is rejected in the ledger.

    Not ``labelled``, a line needs no label.
    Raises DataError for a line that is no JSON object, an unknown split, and where no series is left.
    """
    file = list_file(path)
    if file is None or file.suffix.lower() != ".jsonl":
        raise DataError(f"no .jsonl in {path}", expected=_EXPECTED)
    found: dict[str, Raw] = {}
    lines: dict[str, int] = {}
    ledger: list[Entry] = []
    for line, row in _objects(file):
        at = f"{file.name}:{line}"
        id = nfc(str(row.get("id") if row.get("id") is not None else at))
        split = _split(file, line, row)
        values, label = _values(row.get("series")), row.get("label")
        if id in lines:
            reason = f"listed before, in line {lines[id]}"
        elif not _is_label(label) and (labelled or label is not None):
            reason = "no label"
        else:
            reason = values if isinstance(values, str) else ""
        lines.setdefault(id, line)
        if reason or isinstance(values, str):
            ledger.append(Entry(id=at if id == at else f"{at}: {id}", status="rejected", reason=reason))
            continue
        group = str(row["group"]).strip() if row.get("group") is not None else ""
        words = nfc(str(label).strip()) if label is not None else ""
        found[id] = Raw(id=id, values=values, label=words, split=split, group=group or None)
    return dataset_of_series(name=file.stem, format="series-lines", found=list(found.values()), ledger=ledger)


def _is_label(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(read_text(file).split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {line} of {file} is not JSON: {error}", expected=_EXPECTED) from error
        if not isinstance(row, dict):
            raise DataError(f"line {line} of {file} is no object", expected=_EXPECTED)
        yield line, row


def _split(file: Path, line: int, row: dict[str, Any]) -> Split | None:
    name = str(row["split"]).strip() if row.get("split") is not None else ""
    if name and name.casefold() not in SPLIT_NAMES:
        raise DataError(
            f"the split {name!r} in line {line} of {file}", expected=f"one of {', '.join(sorted(SPLIT_NAMES))}"
        )
    return SPLIT_NAMES[name.casefold()] if name else None


def _values(series: object) -> NDArray[np.float32] | str:
    """T×F, or why it is no series."""
    if not isinstance(series, list):
        return "no list of steps"
    steps = [step if isinstance(step, list) else [step] for step in series]
    widths = sorted({len(step) for step in steps})
    if len(widths) > 1:
        place = next(k for k, step in enumerate(steps) if len(step) != len(steps[0]))
        return f"{len(steps[0])} numbers in step 1, {len(steps[place])} in step {place + 1}"
    for place, step in enumerate(steps, start=1):
        for value in step:
            if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
                return f"{json.dumps(value)[:40]} in step {place}, which is no number"
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is mended and said like that
            return np.array(steps, np.float64).astype(np.float32).reshape(len(steps), -1 if steps else 0)
    except OverflowError:
        return "a number that is too large"
