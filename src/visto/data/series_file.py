"""A series of numbers in one file: CSV or TSV with a row a step, or an array in ``.npy`` or ``.npz``.

A first column of dates, times or row numbers is passed over; it says which way time goes. A cell without a number is
filled from its neighbours in the column, and that said.
"""

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from visto.data.boxes_list import recognises_boxes_list
from visto.data.content import read_text
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.series_table import recognises_series_table
from visto.data.windows import dataset_to_foretell
from visto.errors import DataError

EXPECTED = "a .csv or .tsv of numbers, a row a step of time; or an array 'series', T or T×F, in .npz or .npy"
_TEXT, _KEY = (".csv", ".tsv"), "series"
_OF_OTHERS = {"path", "file", "filename", "image", "label", "labels", "class", "classes", "category"}
_INDEX = {"", "date", "time", "datetime", "timestamp", "index", "id", "t", "step", "year", "month", "day", "ds"}
_MISSING = {"", "nan", "na", "n/a", "null", "none", "-", "?"}
_LOOKED_AT = 50  # rows that say whether a file holds numbers
_MOSTLY = 0.5  # of the cells of a column of numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFile:
    """``values`` M×F float32, none of them NaN, the names of the F columns, and a word on every row and column."""

    values: NDArray[np.float32]
    names: tuple[str, ...]
    entries: tuple[Entry, ...]


def recognises_series(path: Path) -> bool:
    """A file of numbers in which nothing names an image or a class."""
    if path.name.startswith(".") or not path.is_file():
        return False
    suffix = path.suffix.lower()
    try:
        if suffix in _TEXT and not (recognises_boxes_list(path) or recognises_series_table(path)):
            header, rows, _ = _cells(path, most=_LOOKED_AT)
            if {name.casefold() for name in header} & _OF_OTHERS or not rows:
                return False
            return any(_numbers([row[k] for row in rows]) is not None for k in _columns(header, rows)[0])
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.namelist() == [f"{_KEY}.npy"]
        return suffix == ".npy"
    except (DataError, OSError, zipfile.BadZipFile):
        return False


def read_series(path: Path) -> Dataset:
    """The series cut into windows, in splits by time: see ``visto.data.windows``. Raises DataError."""
    found = read_series_file(path)
    return dataset_to_foretell(path.stem, found.values, found.names, found.entries)


def read_series_file(path: Path) -> SeriesFile:
    """The numbers of a file, mended where some are missing. Raises DataError where it holds no series."""
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        return _of_text(path)
    if suffix in (".npy", ".npz"):
        return _of_array(path)
    raise DataError(f"{path} is no series", expected=EXPECTED)


def _of_text(path: Path) -> SeriesFile:
    header, rows, lines = _cells(path)
    if not rows:
        raise DataError(f"no row in {path}", expected=EXPECTED)
    chosen, index = _columns(header, rows)
    entries: list[Entry] = []
    if index is not None:
        reason = "dates or numbers of rows, not foretold"
        if _is_backwards(path, [row[index] for row in rows], lines):
            rows, lines, reason = rows[::-1], lines[::-1], f"{reason}; they fall, so the rows were turned round"
        entries.append(Entry(id=f"{path.name}: {header[index]}", status="kept", reason=reason))
    kept: dict[str, list[float]] = {}
    for k in chosen:
        column = _numbers([row[k] for row in rows])
        if column is None:
            reason = "a column without numbers: passed over"
            entries.append(Entry(id=f"{path.name}: {header[k]}", status="rejected", reason=reason))
        else:
            kept[header[k]] = column
    if not kept:
        raise DataError(f"no column of numbers in {path}", expected=EXPECTED)
    return _mended(path.name, np.array(list(kept.values()), np.float64).T, tuple(kept), lines, entries)


def _of_array(path: Path) -> SeriesFile:
    try:
        with path.open("rb") as opened:
            found = np.load(opened, allow_pickle=False)
            array = found[_KEY] if isinstance(found, NpzFile) else found
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path} cannot be read: {error}", expected=EXPECTED) from error
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "fiub":
        raise DataError(f"{path} holds {array.dtype} of shape {array.shape}", expected=EXPECTED)
    values = array.reshape(len(array), -1).astype(np.float64)
    names = tuple(f"column {k + 1}" for k in range(values.shape[1]))
    return _mended(path.name, values, names, range(1, len(values) + 1), [])


def _cells(path: Path, most: int | None = None) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of columns, rows of as many cells, and the line of each; only the first rows where ``most`` says so.

    Columns without a name are called by their number. Raises DataError for what is no table.
    """
    text = read_text(path)
    first = text.split("\n", 1)[0]
    semicolons = "," not in first and ";" in first  # spreadsheets of half of Europe, with commas in their numbers
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if semicolons else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip().replace(",", ".") if semicolons else cell.strip() for cell in row])
                lines.append(reader.line_num)
            if most is not None and len(rows) > most:
                break
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {path}: {error}", expected=EXPECTED) from error
    header: list[str] = []
    if rows and not any(_number(cell) is not None for cell in rows[0]):
        header, rows, lines = rows[0], rows[1:], lines[1:]
    wide = len(header) or max(map(len, rows), default=0)
    if odd := next((line for row, line in zip(rows, lines, strict=True) if len(row) > wide), None):
        raise DataError(f"more cells in line {odd} of {path} than in its header", expected=f"{wide} cells")
    names = [name or f"column {k + 1}" for k, name in enumerate(header or [""] * wide)]
    if len(set(names)) < len(names):
        raise DataError(f"two columns of {path} have one name", expected="a name for each column")
    return names, [row + [""] * (wide - len(row)) for row in rows], lines


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[int], int | None]:
    """The columns that may hold numbers, and the first one where it says when: dates, or numbers of rows."""
    places = list(range(len(header)))
    if len(header) < 2:
        return places, None
    first = [_number(row[0]) for row in rows]
    known = [value for value in first if value is not None]
    steps = {round(b - a, 9) for a, b in pairwise(known)}
    counted = header[0].startswith("column ") and len(known) == len(first) > 2 and len(steps) == 1 and steps != {0.0}
    dates = len(known) < _MOSTLY * len(first) and all(_time(row[0]) is not None for row in rows[:_LOOKED_AT])
    if header[0].casefold() in _INDEX or header[0].casefold().startswith("unnamed") or counted or dates:
        return places[1:], 0
    return places, None


def _is_backwards(path: Path, cells: Sequence[str], lines: Sequence[int]) -> bool:
    """Whether time falls from row to row; False too where it cannot be told. Raises DataError where it does both."""
    times = [_time(cell) for cell in cells]
    known = [(when, line) for when, line in zip(times, lines, strict=True) if when is not None]
    if len(known) < len(cells):
        return False
    ahead = [line for (a, _), (b, line) in pairwise(known) if b > a]
    back = [line for (a, _), (b, line) in pairwise(known) if b < a]
    if ahead and back:
        odd = (back if len(ahead) >= len(back) else ahead)[0]
        raise DataError(
            f"the rows of {path} are not in the order of time: see line {odd}",
            expected="one series, a row a step, in order",
            hint="sort the rows; of several series below each other make a file each, or a column each",
        )
    return bool(back)


def _time(cell: str) -> float | None:
    """Something that grows with time: a number, or seconds of an ISO date.

    >>> _time("1961-02") is None, _time("1961-02-03") < _time("1961-02-03T12:00")
    (True, True)
    """
    if (value := _number(cell)) is not None:
        return value
    try:
        when = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (when.replace(tzinfo=None) - (when.utcoffset() or when - when) - datetime(1970, 1, 1)).total_seconds()


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """A column as numbers, NaN where there is none; None where most of what stands there is something else."""
    found = [_number(cell) for cell in cells]
    there = sum(value is not None for value in found)
    others = sum(value is None and cell.casefold() not in _MISSING for value, cell in zip(found, cells, strict=True))
    if not there or others > _MOSTLY * (there + others):
        return None
    return [math.nan if value is None else value for value in found]


def _number(cell: str) -> float | None:
    """
    >>> _number("1e3"), _number("-0.5"), _number("inf"), _number("2020-01-02"), _number("1_0")
    (1000.0, -0.5, None, None, None)
    """
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if abs(value) <= np.finfo(np.float32).max else None


def _mended(
    name: str, values: NDArray[np.float64], names: tuple[str, ...], lines: Sequence[int], entries: Sequence[Entry]
) -> SeriesFile:
    """Cells without a number on the straight line between their neighbours, at the ends like the nearest one."""
    bad = ~(np.abs(values) <= np.finfo(np.float32).max)
    rows = np.arange(len(values))
    for k in np.flatnonzero(bad.any(0)).tolist():
        if bad[:, k].all():
            raise DataError(f"no number in {names[k]} of {name}", expected=EXPECTED)
        values[bad[:, k], k] = np.interp(rows[bad[:, k]], rows[~bad[:, k]], values[~bad[:, k], k])
    told: list[Entry] = []
    for line, missing in zip(lines, bad.tolist(), strict=True):
        if any(missing):
            lacking = ", ".join(column for column, gone in zip(names, missing, strict=True) if gone)
            reason = f"no number in {lacking}: filled from its neighbours"
            told.append(Entry(id=f"{name}:{line}", status="repaired", reason=reason))
        else:
            told.append(Entry(id=f"{name}:{line}", status="kept"))
    return SeriesFile(values=np.ascontiguousarray(values, np.float32), names=names, entries=(*told, *entries))
