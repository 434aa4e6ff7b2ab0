"""The checks that every box goes through, whatever file it comes from, and the word on each of them in the ledger.

A reader says what its files hold, image by image (``Sheet``, ``Mark``); ``dataset_of`` looks at the images' headers
and makes a data set of what can be used. The third annotation of a.jpg is ``a.jpg#3`` in the ledger.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from visto.data import exif
from visto.data.box_doubts import check_clipping, check_unit, doubt_sizes, is_rescaled
from visto.data.box_sheet import Box, Convention, Mark, Sheet, as_written
from visto.data.class_folders import SPLIT_NAMES
from visto.data.dataset import Dataset, Item
from visto.data.header import Header, read_headers
from visto.data.ledger import Entry
from visto.data.walk import Walked, natural
from visto.errors import DataError
from visto.types import SPLITS, Boxes, Size, Split

_SLIVER = 0.01  # pixels: what is thinner has no area, and what reaches no farther past the image was rounded
_CUT = 0.1  # of its area: what loses more to clipping was hardly meant so


@dataclass(slots=True)
class _Judged:
    """The boxes of one image that can be used; ``usable`` tells an image without any from one that is rejected.

    ``placed`` boxes have an area; ``cut`` are the ids of those of which much lies outside the image.
    """

    sheet: Sheet
    boxes: list[Box] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    usable: bool = True
    placed: int = 0
    cut: list[str] = field(default_factory=list)


def dataset_of(
    path: Path,
    sheets: Sequence[Sheet],
    *,
    format: str,
    ledger: Sequence[Entry],
    convention: Convention,
    order: Sequence[str] | None = None,
) -> Dataset:
    """The data set of the boxes that can be used. Classes stand in the ``order`` given, else in natural order.

    A class of ``order`` without a box is left out, and said. Raises DataError where no image or no box can be used,
    or where the boxes as a whole are written in another unit.
    """
    entries = list(ledger)
    sheets = _joined(sheets)
    read = iter(read_headers([sheet.path for sheet in sheets if not sheet.fault]))
    headers = [DataError(sheet.fault) if sheet.fault else next(read) for sheet in sheets]
    if convention.unit == "pixels":
        doubt_sizes(sheets, headers)
        check_unit(path, sheets, headers, convention)
    judged = [_judge(s, h, convention, entries) for s, h in zip(sheets, headers, strict=True)]
    check_clipping(path, [id for one in judged for id in one.cut], sum(one.placed for one in judged))
    judged = [one for one in judged if one.usable]
    used = {mark.name for one in judged for mark in one.marks}
    if not used:
        raise _nothing(path, len(judged), len(sheets) - len(judged), entries)
    classes = tuple(sorted(used, key=natural)) if order is None else tuple(name for name in order if name in used)
    for name in order or ():
        if name not in used:
            reason = "a class without a usable box in any split, left out"
            entries.append(Entry(id=f"class {name}", status="rejected", reason=reason))
    place = {name: index for index, name in enumerate(classes)}
    items = tuple(
        Item(id=s.id, source=s.path, target=_target(one, place), split=s.split, group=s.group)
        for one in judged
        for s in (one.sheet,)
    )
    return Dataset(
        name=(path if path.is_dir() else path.with_suffix("")).resolve().name,
        format=format,
        task="detection",
        classes=classes,
        items=items,
        ledger=tuple(entries),
        declared=frozenset(item.split for item in items if item.split),
    )


def _nothing(path: Path, bare: int, rejected: int, entries: Sequence[Entry]) -> DataError:
    bad = next((e for e in entries if e.status == "rejected"), None)
    met = f"; the first thing rejected: {bad.id}: {bad.reason}" if bad else ""
    return DataError(
        f"no usable box in {path} ({bare} images have none, {rejected} were rejected){met}",
        expected="images, and boxes with their classes",
    )


def other_files(walked: Walked, spoken: Iterable[str], reason: Callable[[str], str]) -> list[Entry]:
    """An entry for each file of a folder that is not ``spoken`` of; of images ``reason`` says why."""
    known = set(spoken)
    entries = [entry for entry in walked.rejected if entry.id not in known]
    images = (found.id for found in walked.images if found.id not in known)
    return entries + [Entry(id=id, status="rejected", reason=reason(id)) for id in images]


def image_folder(folders: Sequence[Path], names: Sequence[str]) -> Path:
    """The first of ``folders`` that holds most of a few of the files named, evenly spread; else the first of all."""
    looks = min(16, len(names))
    some = [names[k * len(names) // looks] for k in range(looks)]

    def found(folder: Path) -> int:
        return sum(os.path.exists(folder / name) for name in some)  # False for what can be no name

    return max(folders, key=found)


def canonical_path(name: str) -> str:
    """A path as written by any system, with slashes."""
    return name.strip().replace("\\", "/")


def split_word(name: str) -> str:
    """The word of a name that says a split, empty for none.

    >>> split_word("instances_val2017"), split_word("constrained")
    ('val', '')
    """
    return next((word for word in re.findall("[a-zA-Z]+", name) if word.casefold() in SPLIT_NAMES), "")


def split_of_file(file: Path, root: Path) -> Split | None:
    """By a word of its name, else by the name of its folder below ``root``."""
    names = [split_word(file.stem), file.parent.name if file.parent != root else ""]
    return next((SPLIT_NAMES[name.casefold()] for name in names if name.casefold() in SPLIT_NAMES), None)


def _joined(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Each image once: what several records say of it together, in the first of their splits."""
    by_id: dict[str, Sheet] = {}
    for sheet in sheets:
        first = by_id.setdefault(sheet.id, sheet)
        if first is sheet:
            continue
        first.marks += sheet.marks
        first.mend = "listed more than once: its boxes were joined"
        if first.split and sheet.split and first.split != sheet.split:
            first.split = min(first.split, sheet.split, key=SPLITS.index)
            first.mend = f"listed in several splits: its boxes were joined, in {first.split}"
    return list(by_id.values())


def _judge(sheet: Sheet, header: Header | DataError, convention: Convention, entries: list[Entry]) -> _Judged:
    """What can be used of one image, with an entry for each of its boxes, and for itself where it is not just kept."""
    judged = _Judged(sheet)
    try:
        if isinstance(header, DataError):
            raise header
        move, mend = _placement(sheet, header, convention)
    except DataError as error:
        judged.usable = False
        entries.append(Entry(id=sheet.id, status="rejected", reason=error.message))
        for k in range(1, len(sheet.marks) + 1):
            entries.append(Entry(id=f"{sheet.id}#{k}", status="rejected", reason="its image is rejected"))
        return judged
    at = len(entries)
    seen: set[tuple[str, Box]] = set()
    for k, mark in enumerate(sheet.marks, start=1):
        id = f"{sheet.id}#{k}"
        box, fault, mended = _checked(mark, move, header.size, convention)
        share = _share_inside(mark, move, header.size)
        judged.placed += share is not None
        if share is not None and share < 1 - _CUT:
            judged.cut.append(id)
        if not fault and (mark.name, box) in seen:
            fault = "a duplicate: the same box and class was there before"
        if fault:
            entries.append(Entry(id=id, status="rejected", reason=fault))
            continue
        seen.add((mark.name, box))
        judged.boxes.append(box)
        judged.marks.append(mark)
        judged.areas.append(_area(mark, move, box))
        said = "; ".join(filter(None, (mark.mend, mended)))
        entries.append(Entry(id=id, status="repaired" if said else "kept", reason=said))
    if sheet.marks and not judged.boxes:
        judged.usable = False
        reason = "none of its boxes can be used: what it shows is unknown"
        entries.insert(at, Entry(id=sheet.id, status="rejected", reason=reason))
    elif said := "; ".join(filter(None, (sheet.mend, mend))):
        entries.insert(at, Entry(id=sheet.id, status="repaired", reason=said))
    return judged


def _share_inside(mark: Mark, move: Callable[[Box], Box], size: Size) -> float | None:
    """Which part of its area lies in the image; None for what has no area."""
    if mark.fault or mark.xyxy is None or not all(map(math.isfinite, mark.xyxy)):
        return None
    x0, y0, x1, y1 = move(mark.xyxy)
    if min(x1 - x0, y1 - y0) < _SLIVER:
        return None
    across, down = min(x1, size.width) - max(x0, 0), min(y1, size.height) - max(y0, 0)
    return max(across, 0) * max(down, 0) / ((x1 - x0) * (y1 - y0))


def _area(mark: Mark, move: Callable[[Box], Box], box: Box) -> float:
    """The area that the file states, in pixels of the original; that of the box where it states none."""
    if mark.area is None or not math.isfinite(mark.area) or mark.area <= 0:
        return (box[2] - box[0]) * (box[3] - box[1])
    x0, y0, x1, y1 = move((0.0, 0.0, 1.0, 1.0))
    return mark.area * (x1 - x0) * (y1 - y0)


def _placement(sheet: Sheet, header: Header, convention: Convention) -> tuple[Callable[[Box], Box], str]:
    """From boxes as annotated to pixels of the upright image, and what had to be mended for it.

    Raises DataError where the image is another one than was annotated.
    """
    width, height = header.size.width, header.size.height
    if convention.unit == "fractions":
        return lambda box: (box[0] * width, box[1] * height, box[2] * width, box[3] * height), ""
    wide, high = sheet.stated or (width, height)
    if (wide, high) == (width, height):
        return lambda box: box, ""
    words = f"annotated as {wide:g}×{high:g}, the image is {width}×{height}"
    if exif.swaps_axes(header.orientation) and (wide, high) == (header.raw.width, header.raw.height):
        return lambda box: turned(box, header.raw, header.orientation), f"{words} upright: boxes turned with it"
    if not is_rescaled(sheet, header):
        raise DataError(words)
    x, y = width / wide, height / high
    return lambda box: (box[0] * x, box[1] * y, box[2] * x, box[3] * y), f"{words}: boxes rescaled"


def turned(box: Box, raw: Size, orientation: int) -> Box:
    """A box in the pixels of a file, where it lies once they are upright, for an orientation that swaps the axes.

    >>> turned((0, 0, 3, 1), Size(height=10, width=20), 6)
    (9, 0, 10, 3)
    """
    x0, y0, x1, y1 = box
    left, right = (raw.height - y1, raw.height - y0) if orientation in (6, 7) else (y0, y1)
    top, bottom = (raw.width - x1, raw.width - x0) if orientation in (7, 8) else (x0, x1)
    return left, top, right, bottom


def _checked(mark: Mark, move: Callable[[Box], Box], size: Size, convention: Convention) -> tuple[Box, str, str]:
    """The box in its image, why it cannot be used, and what had to be mended."""
    none = (0.0, 0.0, 0.0, 0.0)
    if mark.fault or mark.xyxy is None:
        return none, mark.fault or "no box", ""
    if not all(map(math.isfinite, mark.xyxy)):
        return none, "a corner that is no finite number", ""
    written = as_written(mark.xyxy, convention)
    x0, y0, x1, y1 = move(mark.xyxy)
    if x1 < x0 or y1 < y0:
        return none, "inverted: an edge at the far side of its opposite", ""
    if min(x1 - x0, y1 - y0) < _SLIVER:
        return none, "no area", ""
    if convention.unit == "pixels" and min(written) >= 0 and max(written) <= 1 and any(v % 1 for v in written):
        return none, "within 0–1: it looks like fractions of the image, not pixels", ""
    box = max(x0, 0.0), max(y0, 0.0), min(x1, float(size.width)), min(y1, float(size.height))
    if min(box[2] - box[0], box[3] - box[1]) < _SLIVER:
        return none, "outside the image", ""
    low, high = max(-x0, -y0), max(x1 - size.width, y1 - size.height)
    if max(low, high) <= _SLIVER:
        return box, "", ""
    if convention.origin and min(written[:2]) > convention.origin - 1 - _SLIVER and high <= _SLIVER:
        return box, "", f"a corner at 0, where the format counts from {convention.origin}: clipped to the image"
    return box, "", "reaches past the image: clipped to it"


def _target(judged: _Judged, place: dict[str, int]) -> Boxes:
    marks = judged.marks
    some_ignored = any(mark.ignored for mark in marks)
    some_crowd = any(mark.crowd for mark in marks)
    some_areas = any(mark.area is not None for mark in marks)
    return Boxes(
        xyxy=torch.tensor(judged.boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([place[mark.name] for mark in marks], dtype=torch.int64),
        ignored=torch.tensor([mark.ignored for mark in marks]) if some_ignored else None,
        crowd=torch.tensor([mark.crowd for mark in marks]) if some_crowd else None,
        areas=torch.tensor(judged.areas, dtype=torch.float32) if some_areas else None,
    )
