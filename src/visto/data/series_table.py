"""Series in a long table, CSV or TSV: a row a step, with ``id``, ``label``, maybe ``split``, ``group`` and ``time``.

All other columns that hold numbers are the features of the step. The rows of one id make one series, in the order of
their time where there is one. An empty cell is a number that is missing.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_text
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.lists import list_file, separator
from visto.data.series import Raw, dataset_of_series
from visto.data.walk import nfc
from visto.errors import DataError

_HEADER = "a header with id, label, if wanted split, group and time, and a column for each feature"
_NAMES = {
    "id": ("id", "series", "series_id", "sequence", "sequence_id"),
    "label": ("label", "labels", "class", "target"),
    "split": ("split",),
    "group": ("group", "subject", "person", "participant", "user"),
    "time": ("t", "time", "step", "timestamp"),
}
_PATHS = {"path", "file", "filename", "image"}  # such a table is a list
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-"}
_BEGINNING = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where in a row each thing stands, and which columns may be features, by their place."""

    named: Mapping[str, int]
    features: tuple[int, ...]
    header: tuple[str, ...]
    labelled: bool


@dataclass(frozen=True, slots=True)
class _Step:
    line: int
    cells: Sequence[str]


def recognises_series_table(path: Path) -> bool:
    """A .csv or .tsv, or a folder with one, whose header names id, label and at least one more column, but no path."""
    file = list_file(path)
    if file is None or file.suffix.lower() == ".jsonl":
        return False
    try:
        with file.open("rb") as opened:
            text = opened.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        header = next(csv.reader(io.StringIO(text), delimiter=separator(file, text)), [])
    except (OSError, csv.Error):
        return False
    return _columns(header) is not None


def _columns(header: Sequence[str], labelled: bool = True) -> _Columns | None:
    names = [name.strip().casefold() for name in header]
    named = {key: place for key, known in _NAMES.items() for place, name in enumerate(names) if name in known}
    features = tuple(place for place, name in enumerate(names) if place not in named.values() and name)
    if _PATHS & set(names) or not {"id", *(["label"] if labelled else [])} <= named.keys() or not features:
        return None
    return _Columns(named=named, features=features, header=tuple(header), labelled=labelled)


def read_series_table(path: Path, *, labelled: bool = True) -> Dataset:
    """Read a table, or the only one in a folder. A series that cannot be used is rejected in the ledger, by its id.

    Not ``labelled``, it needs no label.
    Raises DataError for another header, rows of another length, an unknown split, and where no series is left.
    """
    file = list_file(path)
    if file is None or file.suffix.lower() == ".jsonl":
        raise DataError(f"no table in {path}", expected=f"a .csv or .tsv with {_HEADER}")
    rows = _rows(file)
    header = next(rows, _Step(0, ())).cells
    columns = _columns(header, labelled)
    if columns is None:
        raise DataError(f"{file} begins with {', '.join(header)[:200] or 'nothing'}", expected=_HEADER)
    by_id: dict[str, list[_Step]] = defaultdict(list)
    ledger: list[Entry] = []
    for step in rows:
        id = nfc(step.cells[columns.named["id"]].strip())
        if id:
            by_id[id].append(step)
        else:
            ledger.append(Entry(id=f"{file.name}:{step.line}", status="rejected", reason="no id"))
    columns, notes = _with_numbers(columns, by_id)
    found = []
    for id, steps in by_id.items():
        made = _series(file, id, steps, columns)
        if isinstance(made, Entry):
            ledger.append(made)
        else:
            found.append(made)
    return dataset_of_series(name=file.stem, format="series-table", found=found, ledger=ledger, notes=notes)


def _rows(file: Path) -> Iterator[_Step]:
    """The header, and every row that is not empty, with its line."""
    text = read_text(file)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator(file, text), strict=True)
    width = 0
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                raise DataError(f"{len(row)} cells in line {reader.line_num} of {file}", expected=f"{width}")
            if row:
                yield _Step(reader.line_num, row)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {file}: {error}", expected=_HEADER) from error


def _with_numbers(columns: _Columns, by_id: Mapping[str, Sequence[_Step]]) -> tuple[_Columns, list[str]]:
    """Without the columns in which no cell is a number, and a note on what is left out."""
    waiting = dict.fromkeys(columns.features)
    for step in (step for steps in by_id.values() for step in steps):
        for place in list(waiting):
            number = _number(step.cells[place])
            if number is not None and not math.isnan(number):
                del waiting[place]
        if not waiting:
            break
    features = tuple(place for place in columns.features if place not in waiting)
    if not features:
        raise DataError("no column holds numbers", expected=_HEADER)
    left = [columns.header[place] for place in waiting] + ["one without a name"] * (not all(columns.header))
    notes = [f"columns left out, for they hold no features: {', '.join(left)}"] if left else []
    return replace(columns, features=features), notes


def _number(cell: str) -> float | None:
    """NaN for what is missing, None for what is no number."""
    text = cell.strip()
    if text.casefold() in _MISSING:
        return math.nan
    try:
        return float(text) if "_" not in text else None  # Python reads 1_000
    except ValueError:
        return None


def _series(file: Path, id: str, steps: Sequence[_Step], columns: _Columns) -> Raw | Entry:
    said: dict[str, str] = {}
    for key in ("label", "split", "group"):
        place = columns.named.get(key)
        values = {step.cells[place].strip(): step.line for step in reversed(steps)} if place is not None else {}
        if len(values) > 1:
            (one, first), (other, second) = sorted(values.items(), key=lambda pair: pair[1])[:2]
            words = f"different {key}s: {one or 'none'} (line {first}), {other or 'none'} (line {second})"
            return Entry(id=id, status="rejected", reason=words)
        said[key] = nfc(next(iter(values), ""))
    if columns.labelled and not said["label"]:
        return Entry(id=id, status="rejected", reason=f"no label (line {steps[0].line})")
    split = said["split"].casefold()
    if split and split not in SPLIT_NAMES:
        raise DataError(
            f"the split {said['split']!r} in line {steps[0].line} of {file}",
            expected=f"one of {', '.join(sorted(SPLIT_NAMES))}",
        )
    steps, mends = _in_time(steps, columns)
    numbers = [[_number(step.cells[place]) for place in columns.features] for step in steps]
    for step, row in zip(steps, numbers, strict=True):
        if None in row:
            place = columns.features[row.index(None)]
            words = f"{step.cells[place][:40]!r} in line {step.line}, column {columns.header[place]}, is no number"
            return Entry(id=id, status="rejected", reason=words)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is mended and said like that
        values32 = np.array(numbers, np.float64).astype(np.float32)
    found = SPLIT_NAMES[split] if split else None
    return Raw(
        id=id, values=values32, label=said["label"], split=found, group=said["group"] or None, mends=tuple(mends)
    )


def _in_time(steps: Sequence[_Step], columns: _Columns) -> tuple[Sequence[_Step], list[str]]:
    """The steps in order of their time, where every one of them has a number for it; and whether that was not so."""
    place = columns.named.get("time")
    times = [_number(step.cells[place]) for step in steps] if place is not None else []
    known = [time for time in times if time is not None and not math.isnan(time)]
    if len(known) < len(steps):
        return steps, []
    order = sorted(range(len(steps)), key=lambda k: known[k])
    mends = ["steps put in the order of their time"] if order != list(range(len(steps))) else []
    if double := len(known) - len(set(known)):
        mends.append(f"{double} step{'' if double == 1 else 's'} at the time of another")
    return [steps[k] for k in order], mends
