"""A list of boxes: CSV or TSV, a row a box, with its image, class and edges in pixels counted from 0.

The edges are ``xmin, ymin, xmax, ymax``, or ``x, y, width, height`` with the corner at the top left, the latter also
in one cell ``bbox``. An image with nothing in it has one row without box and class. Images may be named without their
extension. Without a column of classes there is one, ``object``. Splits stand in a column, or in the names of files or
folders.
"""

import codecs
import csv
import io
import math
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from visto.data.box_ledger import canonical_path, dataset_of, image_folder, other_files, split_of_file, split_word
from visto.data.box_sheet import Box, Convention, Mark, Sheet
from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_text
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.walk import IMAGE_SUFFIXES, natural, nfc, walk
from visto.errors import DataError
from visto.types import Split

HEADER = "a header with image,class,xmin,ymin,xmax,ymax (or x,y,width,height) and, if wanted, split and group"
_SUFFIXES = (".csv", ".tsv")
_NAMES = {
    "path": (
        *("path", "image", "file", "filename", "file_name", "image_path", "imagepath", "image_name", "image_id"),
        "imageid",
    ),
    "class": (
        *("class", "label", "class_name", "classname", "category", "label_name", "labelname", "name"),
        *("labels", "target", "class_id", "category_id", "label_id"),
    ),
    "split": ("split", "set", "subset"),
    "group": ("group",),
    "ignored": ("ignored", "difficult"),
    "crowd": ("iscrowd", "crowd"),
}
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (  # those with width and height last: beside w and h they are the size of the image
    ("x", "y", "w", "h"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
    ("xmin", "ymin", "w", "h"),
    ("left", "top", "w", "h"),
    ("x", "y", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("left", "top", "width", "height"),
)
_ONE_CELL = "bbox"
_ONE_CLASS = "object"
_CLASS_LIKE = re.compile("class|label|categ")  # such a column, but none of those above: which classes, is unclear
_STATED = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where in a row each thing stands; ``by_size``: the last two of the box are its width and height.

    The box stands in four cells, or in one.
    """

    named: Mapping[str, int]
    box: tuple[int, ...]
    by_size: bool
    stated: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    path: str
    mark: Mark | None
    bare: bool
    split: Split | None
    group: str | None
    stated: tuple[float, float] | None


def recognises_boxes_list(path: Path) -> bool:
    """A .csv or .tsv whose header names image, class and box; or a folder with such, or in train, val and test."""
    return bool(_files(path)) if path.is_dir() else _is_list(path)


def _files(root: Path) -> list[Path]:
    """The lists of boxes in a folder; where it has none, those in its folders called like a split."""
    here = [entry for entry in root.iterdir() if _is_list(entry)]
    if not here:
        parts = [entry for entry in root.iterdir() if entry.name.casefold() in SPLIT_NAMES and entry.is_dir()]
        here = [entry for part in parts for entry in part.iterdir() if _is_list(entry)]
    return sorted(here, key=lambda file: natural(str(file)))


def _is_list(file: Path) -> bool:
    if file.suffix.lower() not in _SUFFIXES or file.name.startswith(".") or not file.is_file():
        return False
    try:
        with open(file, "rb") as stream:
            first = stream.readline(1 << 16).removeprefix(codecs.BOM_UTF8).decode("utf-8")
        return _columns(next(csv.reader([first], delimiter=_delimiter(file, first)), [])) is not None
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _delimiter(file: Path, first: str) -> str:
    if file.suffix.lower() == ".tsv":
        return "\t"
    return ";" if "," not in first and ";" in first else ","  # spreadsheets of half of Europe


def _columns(header: Sequence[str]) -> _Columns | None:
    """What a header names; None where image or box are missing, or a class that is called otherwise."""
    at: dict[str, int] = {}
    for place, name in enumerate(header):
        at.setdefault(name.strip().casefold(), place)
    named = {key: at[name] for key, names in _NAMES.items() for name in reversed(names) if name in at}
    corners = next((names for names in _CORNERS if all(name in at for name in names)), None)
    sizes = next((names for names in _SIZES if all(name in at for name in names)), None)
    box = corners or sizes or ((_ONE_CELL,) if _ONE_CELL in at else None)
    if box is None or "path" not in named or ("class" not in named and any(map(_CLASS_LIKE.search, at))):
        return None
    # beside corners, width and height are the image's
    stated = next((pair for pair in _STATED if all(n in at and n not in box for n in pair)), ())
    return _Columns(
        named=named,
        box=tuple(at[name] for name in box),
        by_size=corners is None,
        stated=tuple(at[name] for name in stated),
    )


def looks_like_boxes(header: Sequence[str]) -> bool:
    """Whether a header names most of a box, though it may lack the rest."""
    names = {name.strip().casefold() for name in header}
    return _ONE_CELL in names or any(len(names.intersection(box)) > 2 for box in (*_CORNERS, *_SIZES))


def read_boxes_list(path: Path) -> Dataset:
    """Read a list of boxes, or all of a folder. A row without image is rejected in the ledger, under ``list:line``.

    Raises DataError for a list without the right header, with an unknown split, or with a split in some rows only.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"no list of boxes in {path}", expected=HEADER)
    root = path if path.is_dir() else path.parent
    ledger: list[Entry] = []
    sheets: list[Sheet] = []
    for file in files:
        sheets += _read_file(file, root, split_of_file(file, root) if path.is_dir() else None, ledger)
    bare = next((sheet.id for sheet in sheets if sheet.split is None), None)
    if bare is not None and any(sheet.split for sheet in sheets):
        raise DataError(f"no split for {bare} in {path}", expected="a split for every image, or for none")
    if path.is_dir():
        lists = [_below(file, root) for file in files]
        spoken = {*lists, *(sheet.id for sheet in sheets)}
        ledger += other_files(walk(path), spoken, lambda _: f"not in {', '.join(lists)}")
    return dataset_of(path, sheets, format="boxes-list", ledger=ledger, convention=Convention())


def _below(file: Path, root: Path) -> str:
    return posixpath.normpath(Path(os.path.relpath(file, root)).as_posix())


def _read_file(file: Path, root: Path, split: Split | None, ledger: list[Entry]) -> list[Sheet]:
    """A sheet for each image of one list, in the order of their first rows."""
    rows = list(_rows(file))
    word = split_word(file.stem)
    names = ["", "images", "data", *([f"images/{word}", word] if word else [])]
    places = [file.parent / name for name in names]
    folder = image_folder(places, [row.path for row in rows if row.path])
    by_stem = _by_stem(places, folder, {row.path for row in rows if row.path})
    if any(row.mark is not None and row.bare for row in rows):
        reason = f"no column of classes: one class, {_ONE_CLASS}"
        ledger.append(Entry(id=f"{_below(file, root)}: class", status="repaired", reason=reason))
    sheets: dict[str, Sheet] = {}
    for row in rows:
        if not row.path:
            entry_id = f"{_below(file, root)}:{row.line}"
            ledger.append(Entry(id=entry_id, status="rejected", reason="no image named"))
            continue
        sheet = sheets.get(row.path)
        if sheet is None:
            found = by_stem.get(row.path, [])
            path = found[0] if found else folder / row.path
            id = posixpath.normpath(row.path) if row.path.startswith("/") else _below(path, root)
            sheet = Sheet(id=id, path=path, marks=[], split=row.split or split, group=row.group, stated=row.stated)
            sheets[row.path] = sheet
            if len(found) > 1:
                sheet.fault = f"several images called {row.path}: {', '.join(each.name for each in found)}"
        elif (sheet.split, sheet.group, sheet.stated) != (row.split or split, row.group, row.stated):
            sheet.fault = f"its rows disagree on its split, group or size (line {row.line} of {_below(file, root)})"
        if row.mark is not None:
            sheet.marks.append(row.mark)
    return list(sheets.values())


def _by_stem(places: Sequence[Path], folder: Path, names: Set[str]) -> dict[str, list[Path]]:
    """The images of the names without extension that are not there as they stand, in the likeliest of ``places``."""
    bare = {n for n in names if os.path.splitext(n)[1].lower() not in IMAGE_SUFFIXES and "\0" not in n}
    bare = {name for name in bare if not os.path.exists(folder / name)}
    best: dict[str, list[Path]] = {}
    for place in places if bare else ():
        here: dict[str, list[Path]] = {}
        for below in {posixpath.dirname(name) for name in bare}:
            inner = place / below
            for entry in sorted(inner.iterdir()) if inner.is_dir() else ():
                name = posixpath.join(below, entry.stem)
                if name in bare and entry.suffix.lower() in IMAGE_SUFFIXES:
                    here.setdefault(name, []).append(entry)
        best = max(best, here, key=len)
    return best


def _rows(file: Path) -> Iterator[_Row]:
    """Every row with its line number. Raises DataError for what is no list of boxes."""
    text = read_text(file)
    delimiter = _delimiter(file, text.split("\n", 1)[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        columns = _columns(header)
        if columns is None:
            raise DataError(f"{file} begins with {', '.join(header)[:200] or 'nothing'}", expected=HEADER)
        for cells in reader:
            if len(cells) > len(header):
                raise DataError(
                    f"{len(cells)} cells in line {reader.line_num} of {file}",
                    expected=f"{len(header)}, as in the header",
                    hint="put names that hold the separator in double quotes",
                )
            if any(cell.strip() for cell in cells):
                padded = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
                yield _row(file, reader.line_num, padded, columns, comma=delimiter == ";")
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {file}: {error}", expected=HEADER) from error


def _row(file: Path, line: int, cells: Sequence[str], columns: _Columns, *, comma: bool) -> _Row:
    said = {key: cells[place] for key, place in columns.named.items()}
    split = said.get("split", "").casefold()
    if split and split not in SPLIT_NAMES:
        raise DataError(
            f"the split {said['split']!r} in line {line} of {file}", expected=f"one of {', '.join(sorted(SPLIT_NAMES))}"
        )
    stated = [_number(cells[place], comma=comma) for place in columns.stated]
    return _Row(
        line=line,
        path=canonical_path(said["path"]),
        mark=_mark(said, [cells[place] for place in columns.box], columns, comma=comma),
        bare="class" not in columns.named,
        split=SPLIT_NAMES[split] if split else None,
        group=said.get("group") or None,
        stated=(stated[0], stated[1]) if stated and all(0 < side < math.inf for side in stated) else None,
    )


def _number(text: str, *, comma: bool) -> float:
    """NaN for what is no number; with ``comma`` 1,5 is one and a half."""
    try:
        return float(text.replace(",", ".") if comma else text)
    except ValueError:
        return math.nan


def _mark(said: Mapping[str, str], box: Sequence[str], columns: _Columns, *, comma: bool) -> Mark | None:
    """The annotation of a row; None where it says that there is nothing in its image."""
    if len(box) == 1:
        box, comma = re.findall(r"[^\s,;()\[\]]+", box[0]), False
    name = nfc(said.get("class", _ONE_CLASS if any(box) else ""))
    if not any(box):
        return Mark(name=name, fault="a class without box") if name else None
    if not name:
        return Mark(name=name, fault="no class name")
    if len(box) != 4:
        return Mark(name=name, fault=f"a box of {len(box)} numbers, not of four")
    x0, y0, x1, y1 = (_number(text, comma=comma) for text in box)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        return Mark(name=name, fault="an edge that is missing or no finite number")
    edges: Box = (x0, y0, x0 + x1, y0 + y1) if columns.by_size else (x0, y0, x1, y1)
    crowd = _yes(said.get("crowd", ""))
    return Mark(name=name, xyxy=edges, ignored=crowd or _yes(said.get("ignored", "")), crowd=crowd)


def _yes(text: str) -> bool:
    return text.casefold() in ("1", "true", "yes")
