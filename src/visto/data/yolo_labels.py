"""YOLO: a text file for each image, each line ``class cx cy width height`` in fractions of the image (0–1).

The classes, and the images of each split, stand in ``data.yaml``; without one, the classes in ``classes.txt`` or
``obj.names``, and the images in ``images/``, the labels in ``labels/``, or both in one folder.
"""

import math
import os
import posixpath
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from visto.data.box_ledger import dataset_of, other_files
from visto.data.box_sheet import Box, Convention, Mark, Sheet
from visto.data.content import read_content
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.walk import Found, walk
from visto.data.yolo_layout import LAYOUT, NAME_LISTS, Layout, images_of, layout_of
from visto.errors import DataError
from visto.types import SPLITS

ROW = "rows of class cx cy width height, in fractions of the image (0–1)"
_MOST = 1.01  # above the 1 of the convention: rounding


@dataclass(slots=True)
class _Numbers:
    """How many boxes were read so far, and those with numbers outside 0–1."""

    boxes: int = 0
    outside: list[str] = field(default_factory=list)


def read_yolo(path: Path) -> Dataset:
    """Read YOLO labels. Classes stand in the order of their numbers.

    An image without a label file, or with an empty one, shows none of the classes; the first is said. Raises
    DataError for a data.yaml that cannot be followed, for images none of which has a label file, and where most
    numbers lie outside 0–1.
    """
    found = layout_of(path)
    ledger = list(found.ledger)
    sheets: dict[str, Sheet] = {}
    for split, place in found.places:
        for id, image in images_of(found, place, ledger):
            first = sheets.setdefault(id, Sheet(id=id, path=image, marks=[], split=split))
            if first.split != split and first.split and split:
                first.split = min(first.split, split, key=SPLITS.index)
                first.mend = f"in several splits: taken for {first.split}"
    if not sheets:
        raise DataError(f"no images where {found.file} says", expected=LAYOUT)
    labels = _read_labels(found, list(sheets.values()))
    if path.is_dir():
        lists = (found.file, *(path / name for name in NAME_LISTS), *(place for _, place in found.places))
        ledger += _others(path, found, {*sheets, *labels, *map(found.id, lists)})
    order: dict[str, int] = {}
    for number, name in sorted(found.names.items()):
        if order.setdefault(name, number) != number:
            reason = f"called {name} like class {order[name]}: taken for one class"
            ledger.append(Entry(id=f"{found.file.name}: class {number}", status="repaired", reason=reason))
    return dataset_of(
        path,
        list(sheets.values()),
        format="yolo",
        ledger=ledger,
        convention=Convention(unit="fractions"),
        order=list(order),
    )


def _others(path: Path, found: Layout, spoken: set[str]) -> list[Entry]:
    """An entry for every other file of the folder that was given, and of the places of images outside of it."""
    outside = [p for _, p in found.places if p.is_dir() and os.path.relpath(p, path).split(os.sep)[0] == os.pardir]
    entries: dict[str, Entry] = {}
    for folder in (path, *outside):
        walked, above = walk(folder), found.id(folder)
        walked.images = [Found(_joined(above, each.id), each.path) for each in walked.images]
        walked.rejected = [replace(entry, id=_joined(above, entry.id)) for entry in walked.rejected]
        for entry in other_files(walked, spoken, lambda _: f"an image that {found.file.name} does not name"):
            lost = "labels" in entry.id.split("/")[:-1]
            entries[entry.id] = replace(entry, reason="a label file without image") if lost else entry
    return list(entries.values())


def _joined(folder: str, id: str) -> str:
    return posixpath.normpath(posixpath.join(folder, id))


def _label_file(image: Path) -> Path | None:
    """Where the labels of an image stand: in ``labels`` for the last ``images`` of its path, or beside it."""
    parts = list(image.parts)
    tries = [image.with_suffix(".txt")]
    for k in range(len(parts) - 2, -1, -1):
        if parts[k] == "images":
            parts[k] = "labels"
            tries.insert(0, Path(*parts).with_suffix(".txt"))
            break
    return next((file for file in tries if file.exists()), None)


def _read_labels(found: Layout, sheets: Collection[Sheet]) -> set[str]:
    """Put the rows of each image's label file into its sheet; the ids of all label files that were read."""
    numbers = _Numbers()
    read: set[str] = set()
    for sheet in sheets:
        file = _label_file(sheet.path)
        if file is None:
            sheet.mend = "; ".join(filter(None, (sheet.mend, "no label file: taken as background")))
            continue
        id = found.id(file)
        read.add(id)
        try:
            lines = read_content(file).decode("utf-8-sig").split("\n")
        except (DataError, UnicodeDecodeError) as error:
            why = error.message if isinstance(error, DataError) else "not UTF-8"
            sheet.fault = f"its labels {posixpath.basename(id)} cannot be used: {why}"
            continue
        rows = (line.split() for line in lines)
        sheet.marks += [_mark(row, found, numbers, f"{sheet.id}: {' '.join(row[:5])}") for row in rows if row]
    if not read:
        raise DataError(
            f"none of the {len(sheets)} images of {found.file} has a label file",
            expected=f"for images/a.jpg labels/a.txt, or a.txt beside it, with {ROW}",
        )
    if 2 * len(numbers.outside) > numbers.boxes:
        raise DataError(
            f"{len(numbers.outside)} of the {numbers.boxes} boxes of {found.file} have numbers outside 0–1; the first: "
            f"{numbers.outside[0]}",
            expected=ROW,
            hint="these look like pixels or percent: divide by the width and height of the image, or by 100",
        )
    return read


def _mark(row: Sequence[str], found: Layout, numbers: _Numbers, words: str) -> Mark:
    """One row: a box, with or without a score; or class and outline (x y x y x y …), for which the box is taken."""
    try:
        label, *values = map(float, row)
    except ValueError:
        return Mark(name="", fault="a row with something that is no number")
    name = found.names.get(int(label)) if label.is_integer() else None
    if name is None:
        return Mark(name="", fault=f"its class is not among the {len(found.names)} names")
    is_box = len(values) in (4, 5) or (found.has_points and len(values) > 5)
    if not all(map(math.isfinite, values)):
        return Mark(name=name, fault="a number that is not finite")
    if not is_box and (len(values) < 6 or len(values) % 2):
        return Mark(name=name, fault=f"a row of {len(row)} numbers, neither a box (5) nor an outline")
    if is_box:
        values = values[:4]
    numbers.boxes += 1
    most = max(map(abs, values))
    if most > _MOST:
        numbers.outside.append(words)
        unit = "pixels" if most > 100 else "percent or pixels"
        return Mark(name=name, fault=f"a number outside 0–1: it looks like {unit}, fractions of the image are expected")
    if is_box:
        cx, cy, width, height = values
        box: Box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        return Mark(name=name, xyxy=box)
    across, down = values[::2], values[1::2]
    box = (min(across), min(down), max(across), max(down))
    return Mark(name=name, xyxy=box, mend="an outline: the box around it was taken")
