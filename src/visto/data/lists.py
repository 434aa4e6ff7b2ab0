"""A list that names the class of each image: CSV, TSV or JSON lines with path, label, and maybe split and group."""

import codecs
import csv
import io
import json
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_content
from visto.data.dataset import Dataset, Item
from visto.data.ledger import Entry
from visto.data.walk import natural, nfc, walk
from visto.errors import DataError
from visto.types import Label, Split

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl")
HEADER = "a header with path,label and, if wanted, split and group"
_ALIASES = {
    "path": "path",
    "file": "path",
    "filename": "path",
    "image": "path",
    "label": "label",
    "class": "label",
    "target": "label",
    "split": "split",
    "group": "group",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    path: str
    label: str
    raw_label: str
    split: Split | None
    group: str | None


@dataclass(slots=True)
class _Judged:
    rows: dict[str, _Row] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


def recognises_list(path: Path) -> bool:
    """A list, or a folder with one: where there are other folders too (classes?), only by a header that is right."""
    file = list_file(path)
    if file is None or file == path:
        return file is not None
    if not any(entry.is_dir() for entry in path.iterdir() if not entry.name.startswith(".")):
        return True
    try:
        return next(_rows(file), None) is not None
    except DataError:
        return False


def list_file(path: Path) -> Path | None:
    """The list that ``path`` is, or the only one in that folder; None for a folder with several or none."""
    if path.is_dir():
        files = [f for f in path.iterdir() if _is_list(f)]
        return files[0] if len(files) == 1 else None
    return path if _is_list(path) else None


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LIST_SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_list(path: Path) -> Dataset:
    """Read a list, its paths taken from its own folder. A bad row is rejected in the ledger, under ``list:line``.

    Two rows of one image with the same label count once; with different labels none of them is believed, and all
    are rejected. Raises DataError for a list without header, with an unknown split, or without one usable row.
    """
    file = list_file(path)
    if file is None:
        raise DataError(f"no list in {path}", expected=f"one file of {', '.join(LIST_SUFFIXES)}")
    judged = _judge(file, list(_rows(file)))
    if not judged.rows:
        reason = f"; the first: {judged.entries[0].id}: {judged.entries[0].reason}" if judged.entries else ""
        raise DataError(
            f"no usable row in {file}{reason}",
            expected="rows with the path of an image and its label",
            hint=f"paths are taken from the folder of the list, {file.parent}",
        )
    classes = tuple(sorted({row.label for row in judged.rows.values()}, key=natural))
    labels = {name: Label(index=index) for index, name in enumerate(classes)}
    items = tuple(
        Item(id=id, source=file.parent / row.path, target=labels[row.label], split=row.split, group=row.group)
        for id, row in judged.rows.items()
    )
    ledger = judged.entries + (_unlisted(path, file, judged) if path.is_dir() else [])
    return Dataset(
        name=(path if path.is_dir() else file.with_suffix("")).resolve().name,
        format="list",
        task="classification",
        classes=classes,
        items=items,
        ledger=tuple(ledger),
        declared=frozenset(item.split for item in items if item.split),
    )


def _judge(file: Path, rows: list[_Row]) -> _Judged:
    """The rows to use by item id, in the order of the list, and an entry for each of the others."""
    judged = _Judged()
    labels: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.path and row.label:
            labels.setdefault(_id(row.path), {}).setdefault(row.label, row.line)
    for row in rows:
        id = _id(row.path)
        reason = _fault(file, row, labels.get(id, {}))
        if not reason and id in judged.rows:
            reason = f"listed before, in line {judged.rows[id].line}"
        if reason:
            judged.entries.append(Entry(id=f"{file.name}:{row.line}: {id}", status="rejected", reason=reason))
            continue
        judged.rows[id] = row
        if row.label != row.raw_label:
            judged.entries.append(Entry(id=id, status="repaired", reason="spaces around the label removed"))
    blank = any(row.split is None for row in judged.rows.values())
    if blank and any(row.split for row in judged.rows.values()):
        line = next(row.line for row in judged.rows.values() if row.split is None)
        raise DataError(f"no split in line {line} of {file}", expected="a split in every row, or in none")
    return judged


def _fault(file: Path, row: _Row, labels: Mapping[str, int]) -> str:
    if not row.path:
        return "no path"
    if not row.label:
        return "no label"
    if len(labels) > 1:
        return "listed with different labels: " + ", ".join(f"{name} (line {line})" for name, line in labels.items())
    try:
        mode = os.stat(file.parent / row.path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the path
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _id(path: str) -> str:
    return posixpath.normpath(path) if path else ""


def _unlisted(folder: Path, file: Path, judged: _Judged) -> list[Entry]:
    """An entry for each file of the folder that no usable row names."""
    walked = walk(folder)
    spoken = {entry.id.partition(": ")[2] for entry in judged.entries} | set(judged.rows)
    entries = [entry for entry in walked.rejected if entry.id != file.name and entry.id not in spoken]
    for found in walked.images:
        if found.id not in spoken:
            entries.append(Entry(id=found.id, status="rejected", reason=f"not in {file.name}"))
    return entries


def _rows(file: Path) -> Iterator[_Row]:
    """Every row with its line number (of its last line, where quotes hold a newline)."""
    try:
        text = read_content(file).removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except DataError as error:
        raise DataError(f"{file}: {error.message}", expected=error.expected) from error
    cells = _json_cells(file, text) if file.suffix.lower() == ".jsonl" else _csv_cells(file, text)
    for line, row in cells:
        split = row.get("split", "").strip()
        if split and split.casefold() not in SPLIT_NAMES:
            raise DataError(
                f"the split {split!r} in line {line} of {file}", expected=f"one of {', '.join(sorted(SPLIT_NAMES))}"
            )
        raw = row.get("label", "")
        yield _Row(
            line=line,
            path=row.get("path", ""),
            label=nfc(raw.strip()),
            raw_label=nfc(raw),
            split=SPLIT_NAMES[split.casefold()] if split else None,
            group=row.get("group", "").strip() or None,
        )


def _csv_cells(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    first = text.split("\n", 1)[0]
    semicolons = "," not in first and ";" in first  # spreadsheets of half of Europe
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ";" if semicolons else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        columns = _columns(file, header)
        for row in reader:
            if not row:
                continue
            if len(row) > len(header):
                raise DataError(
                    f"{len(row)} cells in line {reader.line_num} of {file}",
                    expected=f"{len(header)}, as in the header",
                    hint="put names that hold the separator in double quotes",
                )
            cells = dict(zip(header, row, strict=False))
            yield reader.line_num, {key: cells.get(column, "") for key, column in columns.items()}
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {file}: {error}", expected=HEADER) from error


def _json_cells(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {line} of {file} is not JSON: {error}", expected="one object a line") from error
        if not isinstance(row, dict):
            raise DataError(f"line {line} of {file} is no object", expected='{"path": "a.jpg", "label": "cat"}')
        columns = _columns(file, list(row))
        yield line, {key: _text(file, line, row[column]) for key, column in columns.items()}


def _text(file: Path, line: int, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    raise DataError(
        f"{value!r} in line {line} of {file}",
        expected="text or a whole number",
        hint="several labels an image are not supported yet" if isinstance(value, list) else "",
    )


def _columns(file: Path, header: list[str]) -> dict[str, str]:
    """Which name in ``header`` holds the path, the label, the split and the group."""
    columns: dict[str, str] = {}
    for name in header:
        key = _ALIASES.get(name.strip().casefold())
        if key and key not in columns:
            columns[key] = name
    if "path" not in columns or "label" not in columns:
        raise DataError(f"{file} begins with {', '.join(header)[:200] or 'nothing'}", expected=HEADER)
    return columns
