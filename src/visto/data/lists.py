"""A list that names the classes of each image: CSV, TSV or JSON lines with path, label, and maybe split and group.

The path may also lead to a clip: a folder of frames, or a file that moves. Then all rows do.

One class an image, or several: ``cat|sofa``, in JSON lines also ``["cat", "sofa"]``; ``|`` (or ``[]``) is none of
them. One such cell makes the whole list a multi-label one. A bar in a name: write it in a JSON list, ``["a|b"]``.
"""

import csv
import io
import json
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from visto.data import boxes_list
from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_text
from visto.data.dataset import Dataset, Item, Source
from visto.data.ledger import Entry
from visto.data.listed_clips import clips_at, name_clips
from visto.data.walk import natural, nfc, walk
from visto.errors import DataError
from visto.types import Label, Labels, Split, Target

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl")
HEADER = "a header with path,label and, if wanted, split and group"
_ALIASES = {
    "path": "path",
    "file": "path",
    "filename": "path",
    "image": "path",
    "label": "label",
    "labels": "label",
    "class": "label",
    "target": "label",
    "split": "split",
    "group": "group",
}


BAR = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marks:
    """What a label cell says: ``names`` in its order (None: nothing at all), and what had to be mended to read it.

    ``several`` tells a cell that only a multi-label list can hold.
    """

    names: tuple[str, ...] | None
    mends: tuple[str, ...] = ()
    several: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal sets of names."""
        return tuple(sorted(self.names or ()))

    def __str__(self) -> str:
        return BAR.join(self.names or ()) or "none of the classes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    path: str
    marks: _Marks
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
    are rejected. Where a cell names several classes, or says that there is none, the task is ``multilabel`` and every
    target is a ``Labels``. Raises DataError for a list without header, with an unknown split, or without one usable
    row or class.
    """
    file = list_file(path)
    if file is None:
        raise DataError(f"no list in {path}", expected=f"one file of {', '.join(LIST_SUFFIXES)}")
    rows = list(_rows(file))
    several = any(row.marks.several for row in rows)
    of_clips = name_clips([file.parent / row.path for row in rows if row.path])
    if several and of_clips:
        raise DataError(f"{file} names several classes of a clip", expected="one class for each clip")
    judged = _judge(file, rows, several=several, of_clips=of_clips)
    sources = _sources(file, judged, of_clips=of_clips)
    if not judged.rows:
        reason = f"; the first: {judged.entries[0].id}: {judged.entries[0].reason}" if judged.entries else ""
        raise DataError(
            f"no usable row in {file}{reason}",
            expected="rows with the path of an image (or of a clip) and its label",
            hint=f"paths are taken from the folder of the list, {file.parent}",
        )
    classes = tuple(sorted({name for row in judged.rows.values() for name in row.marks.names or ()}, key=natural))
    if not classes:
        raise DataError(f"{file} names no class: every image has none", expected="some images with a class")
    target = _targets(classes, several=several)
    items = tuple(
        Item(id=id, source=sources[id], target=target(row.marks), split=row.split, group=row.group)
        for id, row in judged.rows.items()
    )
    ledger = judged.entries + (_unlisted(path, file, judged) if path.is_dir() else [])
    return Dataset(
        name=(path if path.is_dir() else file.with_suffix("")).resolve().name,
        format="list",
        task="sequence" if of_clips else "multilabel" if several else "classification",
        classes=classes,
        items=items,
        ledger=tuple(ledger),
        declared=frozenset(item.split for item in items if item.split),
    )


def _targets(classes: tuple[str, ...], *, several: bool) -> Callable[[_Marks], Target]:
    """From what a cell says to a target: one object for each distinct label or set of labels."""
    place = {name: index for index, name in enumerate(classes)}
    made: dict[tuple[str, ...], Target] = {}

    def target(marks: _Marks) -> Target:
        if marks.key not in made:
            found = tuple(sorted(place[name] for name in marks.key))
            made[marks.key] = Labels(classes=found) if several else Label(index=found[0])
        return made[marks.key]

    return target


def _judge(file: Path, rows: list[_Row], *, several: bool, of_clips: bool) -> _Judged:
    """The rows to use by item id, in the order of the list, and an entry for each of the others."""
    judged = _Judged()
    said: dict[str, dict[tuple[str, ...], str]] = {}
    for row in rows:
        if row.path and row.marks.names is not None:
            said.setdefault(_id(row.path), {}).setdefault(row.marks.key, f"{row.marks} (line {row.line})")
    for row in rows:
        id = _id(row.path)
        reason = _fault(file, row, list(said.get(id, {}).values()), several=several, of_clips=of_clips)
        if not reason and id in judged.rows:
            reason = f"listed before, in line {judged.rows[id].line}"
        if reason:
            judged.entries.append(Entry(id=f"{file.name}:{row.line}: {id}", status="rejected", reason=reason))
            continue
        judged.rows[id] = row
        if row.marks.mends:
            judged.entries.append(Entry(id=id, status="repaired", reason="; ".join(row.marks.mends)))
    blank = any(row.split is None for row in judged.rows.values())
    if blank and any(row.split for row in judged.rows.values()):
        line = next(row.line for row in judged.rows.values() if row.split is None)
        raise DataError(f"no split in line {line} of {file}", expected="a split in every row, or in none")
    return judged


def _fault(file: Path, row: _Row, said: Sequence[str], *, several: bool, of_clips: bool) -> str:
    """Why a row cannot be used, or nothing. ``said`` holds each different label that the list gives its image."""
    if not row.path:
        return "no path"
    if row.marks.names is None:
        none = "[]" if file.suffix.lower() == ".jsonl" else BAR
        return f"no label (for an image with none of the classes, write {none})" if several else "no label"
    if len(said) > 1:
        return f"listed with different labels: {', '.join(said)}"
    try:
        mode = os.stat(file.parent / row.path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the path
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) or (of_clips and stat.S_ISDIR(mode)) else "not a regular file"


def _sources(file: Path, judged: _Judged, *, of_clips: bool) -> Mapping[str, Source]:
    """What each usable row leads to; the rows of clips that cannot be used are taken out of ``judged``."""
    paths = {id: file.parent / row.path for id, row in judged.rows.items()}
    if not of_clips:
        return paths
    clips, entries = clips_at(paths)
    judged.rows = {id: judged.rows[id] for id in clips}
    judged.entries += entries
    return clips


def _id(path: str) -> str:
    return posixpath.normpath(path) if path else ""


def _unlisted(folder: Path, file: Path, judged: _Judged) -> list[Entry]:
    """An entry for each file of the folder that no usable row names."""
    walked = walk(folder)
    spoken = {entry.id.partition(": ")[2] or entry.id for entry in judged.entries} | set(judged.rows)

    def is_spoken(id: str) -> bool:
        return any(part in spoken for part in accumulate(id.split("/"), lambda above, name: f"{above}/{name}"))

    entries = [entry for entry in walked.rejected if entry.id != file.name and not is_spoken(entry.id)]
    for found in walked.images:
        if not is_spoken(found.id):
            entries.append(Entry(id=found.id, status="rejected", reason=f"not in {file.name}"))
    return entries


def _rows(file: Path) -> Iterator[_Row]:
    """Every row with its line number (of its last line, where quotes hold a newline)."""
    text = read_text(file)
    cells = _json_cells(file, text) if file.suffix.lower() == ".jsonl" else _csv_cells(file, text)
    for line, row, marks in cells:
        split = row.get("split", "").strip()
        if split and split.casefold() not in SPLIT_NAMES:
            raise DataError(
                f"the split {split!r} in line {line} of {file}", expected=f"one of {', '.join(sorted(SPLIT_NAMES))}"
            )
        yield _Row(
            line=line,
            path=row.get("path", ""),
            marks=marks,
            split=SPLIT_NAMES[split.casefold()] if split else None,
            group=row.get("group", "").strip() or None,
        )


def _marks(parts: Sequence[str], *, several: bool) -> _Marks:
    """The names in the parts of a cell: spaces around them, empty parts and repetitions removed, and that said."""
    names = [nfc(part.strip()) for part in parts]
    kept = tuple(dict.fromkeys(name for name in names if name))
    if not several and not kept:
        return _Marks(names=None)
    mends = []
    if any(name and name != nfc(part) for name, part in zip(names, parts, strict=True)):
        mends.append("spaces around the label removed")
    if "" in names and len(names) > (0 if kept else 2):
        mends.append("an empty label removed")
    if len(kept) < sum(map(bool, names)):
        mends.append("a repeated label removed")
    return _Marks(names=kept, mends=tuple(mends), several=several)


def _marks_of_text(cell: str) -> _Marks:
    """
    >>> _marks_of_text("cat | sofa|").names, _marks_of_text("|").names, _marks_of_text(" ").names
    (('cat', 'sofa'), (), None)
    """
    return _marks(cell.split(BAR), several=BAR in cell)


def _marks_of_json(file: Path, line: int, value: object) -> _Marks:
    """A list names several classes as they stand, bars too; ``[""]`` may be a slip, and says nothing."""
    if not isinstance(value, list):
        return _marks_of_text(_text(file, line, value))
    bad = next((part for part in value if not isinstance(part, str | int) or isinstance(part, bool)), None)
    if bad is not None or None in value:
        raise DataError(
            f"{json.dumps(bad)[:100]} among the labels in line {line} of {file}",
            expected='a list of names, such as ["cat", "sofa"]; [] for none of the classes',
        )
    parts = [str(part) for part in value]
    if parts and not any(part.strip() for part in parts):
        return _Marks(names=None, several=True)
    return _marks(parts, several=True)


def separator(file: Path, text: str) -> str:
    """What stands between the cells of a table, by its name and its first line."""
    first = text.split("\n", 1)[0]
    semicolons = "," not in first and ";" in first  # spreadsheets of half of Europe
    return "\t" if file.suffix.lower() == ".tsv" else ";" if semicolons else ","


def _csv_cells(file: Path, text: str) -> Iterator[tuple[int, dict[str, str], _Marks]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator(file, text), strict=True)
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
            named = dict(zip(header, row, strict=False))
            cells = {key: named.get(column, "") for key, column in columns.items()}
            yield reader.line_num, cells, _marks_of_text(cells["label"])
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {file}: {error}", expected=HEADER) from error


def _json_cells(file: Path, text: str) -> Iterator[tuple[int, dict[str, str], _Marks]]:
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
        cells = {key: _text(file, line, row[column]) for key, column in columns.items() if key != "label"}
        yield line, cells, _marks_of_json(file, line, row[columns["label"]])


def _text(file: Path, line: int, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    raise DataError(f"{value!r} in line {line} of {file}", expected="text or a whole number")


def _columns(file: Path, header: list[str]) -> dict[str, str]:
    """Which name in ``header`` holds the path, the label, the split and the group."""
    columns: dict[str, str] = {}
    for name in header:
        key = _ALIASES.get(name.strip().casefold())
        if key and key not in columns:
            columns[key] = name
    if "path" not in columns or "label" not in columns:
        expected = boxes_list.HEADER if boxes_list.looks_like_boxes(header) else HEADER
        raise DataError(f"{file} begins with {', '.join(header)[:200] or 'nothing'}", expected=expected)
    return columns
