"""Pascal VOC: an XML file for each image, in ``Annotations/`` for those of ``JPEGImages/``, or beside its image.

Corners count pixels from 1 and belong to the box, so a box from 1 to 640 is as wide as an image of 640. Where more
boxes begin at 0 than at 1, the data set counts from 0, as some programs write it. Splits come from
``ImageSets/Main/{train,val,test,trainval}.txt``, else from folders called train, val and test. VOCdevkit is read
whole, all its years together. A document type or an entity is refused: a small file of them can fill the memory.
"""

import math
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from visto.data.box_ledger import canonical_path, dataset_of, other_files
from visto.data.box_sheet import Box, Convention, Mark, Sheet
from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_content
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.walk import Found, Walked, nfc, walk
from visto.errors import DataError
from visto.types import SPLITS, Split

LAYOUT = "Annotations/*.xml, JPEGImages/ and, if wanted, ImageSets/Main/train.txt …; or an XML file beside each image"
_ANNOTATIONS = frozenset({"annotations", "annotation", "xmls", "xml"})
_IMAGES = frozenset({"jpegimages", "images", "image", "imgs", "img"})
_LISTS: dict[str, Split] = {**SPLIT_NAMES, "trainval": "train"}
_LIST_FOLDERS = ("imagesets/main", "imagesets")
_ONE_CLASS = re.compile(r"\S+\s+-?[01]")
_XML_BYTES = 64 << 20


@dataclass(slots=True)
class _Images:
    """The images of a folder by where they lie: by name, and by name without extension."""

    by_name: dict[tuple[str, str], Found] = field(default_factory=dict)
    by_stem: dict[tuple[str, str], list[Found]] = field(default_factory=lambda: defaultdict(list))
    folders: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, walked: Walked) -> "_Images":
        images = cls()
        for found in walked.images:
            folder, name = posixpath.split(found.id)
            images.by_name[folder, name] = found
            images.by_stem[folder, posixpath.splitext(name)[0]].append(found)
        for folder in walked.folders:
            parent, name = posixpath.split(folder.rstrip("/"))
            if name.casefold() in _IMAGES:
                images.folders[parent].append(name)
        return images

    def beside(self, folder: str) -> Iterator[str]:
        """The folders where the images annotated in ``folder`` may lie: it, those beside it, the one above."""
        yield folder
        parts = folder.split("/") if folder else []
        for k, part in enumerate(parts):
            if part.casefold() in _ANNOTATIONS:
                above = "/".join(parts[:k])
                below = [p for p in parts[k + 1 :] if p.casefold() not in _ANNOTATIONS]
                for name in self.folders.get(above, ()):
                    yield posixpath.join(above, name, *below)
                yield above

    def of_annotation(self, id: str, filename: str) -> Found:
        """The image of an annotation file: the one called like it, else the one it names. Raises DataError for none."""
        folder, name = posixpath.split(id)
        stem = posixpath.splitext(name)[0]
        places = list(dict.fromkeys(self.beside(folder)))
        for place in places:
            alike = self.by_stem.get((place, stem), [])
            named = [found for found in alike if found.parts[-1] == filename]
            if len(named or alike) > 1:
                raise DataError(f"several images for it: {', '.join(found.parts[-1] for found in alike)}")
            if alike:
                return (named or alike)[0]
        for place in places:
            if (place, filename) in self.by_name:
                return self.by_name[place, filename]
        raise DataError(f"no image for it: none called {stem}" + (f", no {filename}" if filename else ""))


def recognises_voc(path: Path) -> bool:
    """A folder with an annotation in Annotations/, beside its images, or in folders called like a split or VOC2007."""
    if not path.is_dir():
        return False
    if _holds_annotation(path, deep=False):
        return True
    for entry in _folders(path):
        name = entry.name.casefold()
        if name in {*_ANNOTATIONS, *SPLIT_NAMES} and _holds_annotation(entry, deep=name in _ANNOTATIONS):
            return True
        sets = [entry] if name in SPLIT_NAMES or name.startswith("voc") else []
        sets += _folders(entry) if name == "vocdevkit" else []
        if any(_holds_annotation(inner / "Annotations", deep=True) for inner in sets):
            return True
    return False


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


def _holds_annotation(folder: Path, *, deep: bool) -> bool:
    """Whether the first XML file of a folder, with ``deep`` also of one below, is an annotation."""
    try:
        with os.scandir(folder) as entries:
            first, below = None, []
            for entry in entries:
                if entry.is_dir():
                    below.append(Path(entry.path))
                elif _is_xml(entry.name) and entry.is_file():
                    first = entry
                    break
        if first is None:
            return deep and any(_holds_annotation(inner, deep=False) for inner in below)
        with open(first.path, "rb") as file:
            return b"<annotation" in file.read(4096).replace(b"\0", b"")  # UTF-16 has them
    except OSError:
        return False


def read_voc(path: Path) -> Dataset:
    """Read a folder of Pascal VOC annotations. ``difficult`` boxes are ignored ones.

    Raises DataError for a folder without annotations, and for what ``dataset_of`` refuses.
    """
    walked = walk(path)
    images = _Images.of(walked)
    files = [entry.id for entry in walked.rejected if _is_xml(entry.id)]
    if not files:
        raise DataError(f"no annotations in {path}", expected=LAYOUT)
    ledger: list[Entry] = []
    sheets: dict[str, Sheet] = {}
    for id in files:
        _read_annotation(path, id, images, sheets, ledger)
    spoken = {*files, *sheets}
    origin = _origin(list(sheets.values()), ledger)
    lists = _split_lists(walked)
    if lists:
        for above, some in lists.items():
            below = {id: sheet for id, sheet in sheets.items() if id.startswith(above)}
            _by_lists(path, some, below, ledger)
            spoken.update(some)
        for sheet in sheets.values():
            if sheet.split is None:
                sheet.fault = sheet.fault or "in no split list"
    else:
        _by_folders(sheets)
    beside = {posixpath.dirname(file) for file in files}
    rest = other_files(walked, spoken, lambda image: _why_not(image, beside))
    convention = Convention(origin=origin)
    return dataset_of(path, list(sheets.values()), format="voc", ledger=ledger + rest, convention=convention)


def _origin(sheets: Sequence[Sheet], ledger: list[Entry]) -> int:
    """The number of the first pixel, 1 or 0, by which all boxes are then moved.

    A box at the border begins at the first pixel's number. So 0 is a slip where more begin at 1, and the rule where
    more begin at 0.
    """
    corners = [mark.xyxy for sheet in sheets for mark in sheet.marks if mark.xyxy is not None]
    zeros = sum(0 <= min(x0, y0) < 1 < max(x1, y1) for x0, y0, x1, y1 in corners)
    ones = sum(min(x0, y0) == 1 for x0, y0, _, _ in corners)
    if zeros > ones:
        reason = f"boxes begin at 0 ({zeros}) rather than at 1 ({ones}): taken as counted from 0, not from 1"
        ledger.append(Entry(id="all boxes", status="repaired", reason=reason))
        return 0
    for sheet in sheets:
        sheet.marks = [_moved(mark) for mark in sheet.marks]
    return 1


def _moved(mark: Mark) -> Mark:
    if mark.xyxy is None:
        return mark
    x0, y0, x1, y1 = mark.xyxy
    return replace(mark, xyxy=(x0 - 1, y0 - 1, x1, y1))


def _is_xml(id: str) -> bool:
    return id.lower().endswith(".xml") and not posixpath.basename(id).startswith(".")


def _why_not(image: str, beside: Set[str]) -> str:
    folder = posixpath.dirname(image)
    if folder in beside or posixpath.basename(folder).casefold() in {*_IMAGES, *SPLIT_NAMES}:
        return "no annotation file: what it shows is unknown"
    return "no annotation file, and outside the folders of images"


def _read_annotation(root: Path, id: str, images: _Images, sheets: dict[str, Sheet], ledger: list[Entry]) -> None:
    """Put what one file says into ``sheets`` under its image; where it has none, into the ledger."""
    marks: list[Mark] = []
    filename, fault, stated = "", "", None
    try:
        tree = _parse(root / id)
        filename = posixpath.basename(canonical_path(tree.findtext("filename") or ""))
        marks = [_mark(element) for element in tree.iterfind("object")]
        stated = _stated(tree)
    except DataError as error:
        fault = error.message
    try:
        found = images.of_annotation(id, filename)
    except DataError as error:
        ledger.append(Entry(id=id, status="rejected", reason=fault or error.message))
        for k in range(1, len(marks) + 1):
            ledger.append(Entry(id=f"{id}#{k}", status="rejected", reason="its image is missing"))
        return
    if fault:
        fault = f"its annotation {posixpath.basename(id)} cannot be used: {fault}"
    sheet = sheets.setdefault(found.id, Sheet(id=found.id, path=found.path, marks=[], stated=stated))
    if sheet.marks:
        sheet.mend = "annotated in several files: their boxes were joined"
    sheet.marks += marks
    sheet.fault = sheet.fault or fault


def _parse(path: Path) -> Element:
    """The root of an XML file. Raises DataError for one that is broken, has a document type, or is no annotation."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise DataError("a document type or entity, which no annotation needs")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    content = read_content(path)
    if len(content) > _XML_BYTES:
        raise DataError(f"too large: {len(content):,} bytes", expected=f"at most {_XML_BYTES:,}")
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that nobody knows
        raise DataError(f"broken XML: {error}") from error
    root = builder.close()
    if root.tag != "annotation":
        raise DataError(f"not a Pascal VOC annotation: it begins with <{root.tag}>")
    return root


def _stated(tree: Element) -> tuple[float, float] | None:
    width, height = _number(tree.findtext("size/width")), _number(tree.findtext("size/height"))
    return (width, height) if width > 0 and height > 0 else None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _mark(element: Element) -> Mark:
    name = nfc((element.findtext("name") or "").strip())
    difficult = (element.findtext("difficult") or "").strip() in ("1", "true", "True")
    box = element.find("bndbox")
    if not name:
        return Mark(name=name, fault="no class name")
    if box is None:
        rotated = element.find("robndbox") is not None
        return Mark(name=name, fault="a rotated box, which is not read" if rotated else "no box")
    texts = [box.findtext(key) for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x0, y0, x1, y1 = (float(text or "") for text in texts)
    except ValueError:
        return Mark(name=name, fault="a corner that is missing or no number")
    if (x0, y0) == (x1, y1):
        return Mark(name=name, fault="a single point: both corners are the same pixel")
    if x1 < x0 or y1 < y0:
        return Mark(name=name, fault="inverted: an edge at the far side of its opposite")
    edges: Box = (x0, y0, x1, y1)
    return Mark(name=name, xyxy=edges, ignored=difficult)


def _split_lists(walked: Walked) -> dict[str, dict[str, str]]:
    """The ids of all lists of images, each with its name without extension, by the folder above, with its slash."""
    ids = [entry.id for entry in walked.rejected if entry.id.lower().endswith(".txt")]
    found: dict[str, dict[str, str]] = {}
    for folder in _LIST_FOLDERS:
        here: dict[str, dict[str, str]] = defaultdict(dict)
        for id in ids:
            place, name = posixpath.split(id)
            above = place[: -len(folder)]
            if place.casefold().endswith(folder) and (not above or above.endswith("/")):
                here[above][id] = name[:-4]
        for above, lists in here.items():
            if above not in found and any(name.casefold() in _LISTS for name in lists.values()):
                found[above] = lists
    return found


def _by_lists(root: Path, lists: Mapping[str, str], sheets: Mapping[str, Sheet], ledger: list[Entry]) -> None:
    """Give each image the split whose list names it, of several the first."""
    by_stem: dict[str, list[Sheet]] = defaultdict(list)
    for sheet in sheets.values():
        by_stem[posixpath.splitext(posixpath.basename(sheet.id))[0]].append(sheet)
        by_stem[posixpath.basename(sheet.id)].append(sheet)
    known: list[tuple[bool, str, Split]] = []
    for id, name in lists.items():
        if split := _LISTS.get(name.casefold()):
            known.append((name.casefold() == "trainval", id, split))
        else:
            ledger.append(Entry(id=id, status="rejected", reason="not a list of a split (train, val, test, trainval)"))
    for again, id, split in sorted(known):  # trainval last: it names again what train and val name
        for line, text in _lines(root, id, ledger):
            found = by_stem.get(text, by_stem.get(posixpath.basename(text), []))
            if not found:
                reason = "no annotated image so called"
                ledger.append(Entry(id=f"{id}:{line}: {text}", status="rejected", reason=reason))
            for sheet in found:
                if sheet.split is not None and sheet.split != split and not again:
                    first = min(sheet.split, split, key=SPLITS.index)
                    sheet.mend = f"in the lists of several splits: taken for {first}"
                    sheet.split = first
                sheet.split = sheet.split or split


def _lines(root: Path, id: str, ledger: list[Entry]) -> list[tuple[int, str]]:
    try:
        text = read_content(root / id).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{root / id} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if lines and all(_ONE_CLASS.fullmatch(line) for _, line in lines):
        ledger.append(Entry(id=id, status="rejected", reason="a list for one class (1, 0, -1), not of a split"))
        return []
    return lines


def _by_folders(sheets: Mapping[str, Sheet]) -> None:
    """Where there are folders called train, val and test: those are the splits, and images outside are rejected."""
    tops = {id.split("/")[0] for id in sheets if "/" in id}
    splits = {top: SPLIT_NAMES[top.casefold()] for top in tops if top.casefold() in SPLIT_NAMES}
    for id, sheet in sheets.items() if splits else ():
        sheet.split = splits.get(id.split("/")[0])
        if sheet.split is None:
            sheet.fault = sheet.fault or f"outside the split folders ({', '.join(sorted(splits))})"
