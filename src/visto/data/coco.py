"""COCO: JSON files of images, annotations and categories; a box is [x, y, width, height] in pixels, counted from 0.

One file, or a folder with one for each split: ``annotations/instances_train2017.json`` with ``train2017/``, or
``train/_annotations.coco.json`` beside the images. Segmentations are left alone.
"""

import json
import math
import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from visto.data.box_ledger import canonical_path, dataset_of, image_folder, other_files, split_of_file, split_word
from visto.data.box_sheet import Box, Convention, Mark, Sheet
from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_content
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.walk import IMAGE_SUFFIXES, natural, nfc, walk
from visto.errors import DataError
from visto.types import Split

LAYOUT = "annotations/instances_train.json and train/, or train/_annotations.coco.json, or one such file"
_KEYS = {key: re.compile(rb'"' + key.encode() + rb'"\s*:\s*\[') for key in ("images", "annotations", "bbox")}
_BEGINS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_BLOCK = 1 << 20
_OVERLAP = 64  # so much of a block is looked at with the next, which may hold the rest of a key
_NO_CLASSES = frozenset({"annotations", "images", "jpegimages", "data", "labels"})
_LOOKED_AT = 64  # more JSON files than splits: one an image, in a format of others


@dataclass(slots=True)
class _Read:
    """What all files said so far."""

    sheets: list[Sheet] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One JSON file on its way: ``id`` is its path below the root, ``images`` where its images lie."""

    path: Path
    id: str
    root: Path
    split: Split | None


def recognises_coco(path: Path) -> bool:
    """A .json file, or a folder with one of images and annotations; with boxes, where class folders lie beside it."""
    if not path.is_dir():
        return path.suffix.lower() == ".json" and path.is_file()
    files = _files(path)
    return bool(files) and (not _has_class_folders(path) or any("bbox" in _keys(file, "bbox") for file in files))


def _files(root: Path) -> list[Path]:
    """The JSON files of a folder that hold what COCO does: in it, in annotations/, in folders called like a split."""
    with os.scandir(root) as entries:
        below = [e.path for e in entries if e.name.casefold() in {"annotations", *SPLIT_NAMES} and e.is_dir()]
    found: list[Path] = []
    for folder in (root, *map(Path, sorted(below, key=natural))):
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.lower().endswith(".json") and not e.name.startswith(".")]
        some = sorted(names, key=natural)[:_LOOKED_AT]
        found += [folder / name for name in some if len(_keys(folder / name, "images", "annotations")) == 2]
    # beside instances lie captions and keypoints, which say the same of the same images
    instances = [file for file in found if file.name.startswith("instances")]
    return instances or [file for file in found if not re.match("captions|image_info|panoptic", file.name)]


def _keys(path: Path, *keys: str) -> set[str]:
    """Those of ``keys`` that a file holds with a list. It is read no farther than needed: to the last of them, and
    only to its first block where that holds nothing of COCO.
    """
    found: set[str] = set()
    try:
        if not path.is_file():
            return found
        with open(path, "rb") as file:
            rest = b""
            while len(found) < len(keys) and (block := file.read(_BLOCK)):
                text = rest + block.replace(b"\0", b"")  # UTF-16 has them
                if not rest and not _BEGINS.search(text):
                    break
                found |= {key for key in keys if _KEYS[key].search(text)}
                rest = text[-_OVERLAP:]
    except OSError:
        return set()
    return found


def _has_class_folders(root: Path) -> bool:
    """Whether images lie as classes do: in folders not called like a split, or in folders below those that are."""
    with os.scandir(root) as entries:
        folders = [e for e in entries if e.name.casefold() not in _NO_CLASSES and e.is_dir()]
    for folder in folders:
        walked = os.walk(folder.path)
        if split_word(folder.name):
            next(walked, None)
        for place, _, names in walked:
            inside = not _NO_CLASSES.intersection(Path(place).relative_to(root).as_posix().casefold().split("/"))
            if inside and any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in names):
                return True
    return False


def read_coco(path: Path) -> Dataset:
    """Read a COCO file, or all of a folder, its splits named by the files or their folders.

    Classes stand in the order of their ids. ``iscrowd`` boxes are ignored ones. Raises DataError for what is not
    JSON, not COCO, or ambiguous: two images with one id, two names for one category, a split for some files only.
    """
    is_folder = path.is_dir()
    found = _files(path) if is_folder else [path]
    if not found:
        raise DataError(f"no COCO file in {path}", expected=LAYOUT)
    root = path if is_folder or path.parent.name != "annotations" else path.parent.parent
    root = root if root.is_dir() else path.parent
    files = [_File(path=file, id=_below(file, root), root=root, split=split_of_file(file, root)) for file in found]
    if len({file.split is None for file in files}) > 1:
        lone = next(file.id for file in files if file.split is None)
        raise DataError(f"{lone} in {root} names no split, other files do", expected="train, val or test in each name")
    # a lone file is not a split: it is all there is
    split = len(files) > 1 or is_folder
    read = _Read()
    for file in files:
        _read_file(file, file.split if split else None, read)
    if is_folder:
        spoken = {file.id for file in files} | {sheet.id for sheet in read.sheets}
        names = ", ".join(file.id for file in files)
        read.ledger += other_files(walk(path), spoken, lambda _: f"not in {names}")
    return dataset_of(
        path,
        read.sheets,
        format="coco",
        ledger=read.ledger,
        convention=Convention(),
        order=list(dict.fromkeys(read.order)),
    )


def _below(file: Path, root: Path) -> str:
    return Path(os.path.relpath(file, root)).as_posix()


def _load(file: _File) -> Mapping[str, list[Any]]:
    def without_outlines(record: dict[str, Any]) -> dict[str, Any]:
        record.pop("segmentation", None)  # most of the file: dropped while it is read, or it fills the memory
        return record

    try:
        whole = json.loads(read_content(file.path).removeprefix(b"\xef\xbb\xbf"), object_hook=without_outlines)
    except json.JSONDecodeError as error:
        raise DataError(
            f"line {error.lineno} of {file.path} is not JSON: {error.msg} (column {error.colno})", expected=LAYOUT
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.path} is not JSON: {error}", expected=LAYOUT) from error
    except DataError as error:
        raise DataError(f"{file.path}: {error.message}", expected=error.expected) from error
    if not isinstance(whole, dict):
        raise DataError(f"{file.path} holds no object", expected="images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(whole.get(key), list):
            raise DataError(f"no list of {key} in {file.path}", expected="images, annotations and categories")
    return whole


def _key(value: object) -> str | None:
    """An id as text, so that 7 and "7" are one; None for what is no id."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if value == value // 1 else str(value)


def _read_file(file: _File, split: Split | None, read: _Read) -> None:
    whole = _load(file)
    names = _categories(file, whole["categories"], read)
    by_id = _images(file, whole["images"], split, read)
    if not whole["annotations"]:
        for sheet in by_id.values():
            sheet.fault = "no annotation in its whole file: what it shows is unknown"
    seen: set[str] = set()
    for k, record in enumerate(whole["annotations"], start=1):
        if not isinstance(record, dict):
            read.ledger.append(Entry(id=f"{file.id}#{k}", status="rejected", reason="an annotation that is no object"))
            continue
        annotated = by_id.get(_key(record.get("image_id")) or "")
        if annotated is None:
            reason = "its image is not listed, or rejected"
            read.ledger.append(Entry(id=f"{file.id}#{k}", status="rejected", reason=reason))
            continue
        mark, id = _mark(record, names), _key(record.get("id"))
        if id is not None and id in seen:
            mark = replace(mark, mend="its annotation id is another's too: the id is ignored, the box kept")
        seen.add(id or "")
        annotated.marks.append(mark)


def _categories(file: _File, records: list[Any], read: _Read) -> dict[str, str]:
    """The name of each category by its id. Raises DataError for two names of one id."""
    names: dict[str, str] = {}
    first: dict[str, str] = {}
    for k, record in enumerate(records, start=1):
        id = _key(record.get("id")) if isinstance(record, dict) else None
        name = record.get("name") if id is not None else None
        if id is None or not isinstance(name, str | int) or not str(name).strip():
            reason = "a category without id or name"
            read.ledger.append(Entry(id=f"{file.id}: category {k}", status="rejected", reason=reason))
            continue
        name = nfc(str(name).strip())
        if names.setdefault(id, name) != name:
            raise DataError(
                f"two categories in {file.path} have the id {id}: {names[id]} and {name}", expected="an id for each"
            )
        if first.setdefault(name, id) != id:
            reason = f"called {name} like category {first[name]}: taken for one class"
            read.ledger.append(Entry(id=f"{file.id}: category {id}", status="repaired", reason=reason))
    read.order += [names[id] for id in sorted(names, key=natural)]
    return names


def _images(file: _File, records: list[Any], split: Split | None, read: _Read) -> dict[str, Sheet]:
    """A sheet for each image by its id. Raises DataError for two images with one id."""
    usable: list[tuple[str, str, Mapping[str, Any]]] = []
    for k, record in enumerate(records, start=1):
        id = _key(record.get("id")) if isinstance(record, dict) else None
        name = record.get("file_name") if id is not None else None
        if id is None or not isinstance(name, str) or not name.strip():
            reason = "an image without id or file_name"
            read.ledger.append(Entry(id=f"{file.id}: image {k}", status="rejected", reason=reason))
        else:
            usable.append((id, canonical_path(name), record))
    folder = image_folder(_places(file), [name for _, name, _ in usable])
    by_id: dict[str, Sheet] = {}
    by_name: dict[str, Sheet] = {}
    for id, name, record in usable:
        path = folder / name
        before = by_id.get(id)
        if before is not None and before.path != path:
            raise DataError(
                f"two images in {file.path} have the id {id}: {before.path.name} and {path.name}",
                expected="an id for each image, by which its boxes are known",
            )
        sheet = by_name.get(name)
        if sheet is None:
            item = posixpath.normpath(_below(folder, file.root) + "/" + name if not name.startswith("/") else name)
            sheet = Sheet(id=item, path=path, marks=[], split=split, stated=_stated(record))
            by_name[name] = sheet
            read.sheets.append(sheet)
        else:
            sheet.mend = "listed more than once: its boxes were joined"
        by_id[id] = sheet
    return by_id


def _places(file: _File) -> list[Path]:
    """Where the images of a file may lie, likeliest first."""
    tag = re.sub("^(instances|annotations|_annotations)[._-]?", "", file.path.stem)
    names = [""]
    for name in dict.fromkeys((tag, split_folder) if (split_folder := split_word(file.path.stem)) else (tag,)):
        names += [name, f"images/{name}"] if name else []
    names += ["images", "data", "JPEGImages"]
    bases = [file.path.parent, *([file.root] if file.root != file.path.parent else [])]
    return [base / name for base in bases for name in names]


def _stated(record: Mapping[str, Any]) -> tuple[float, float] | None:
    width, height = _number(record.get("width")), _number(record.get("height"))
    return (width, height) if width > 0 and height > 0 else None


def _number(value: object) -> float:
    """The value as a float; NaN for what is no number, or one that no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _mark(record: Mapping[str, Any], names: Mapping[str, str]) -> Mark:
    name = names.get(_key(record.get("category_id")) or "")
    if name is None:
        return Mark(name="", fault="its category is not listed")
    box = record.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return Mark(name=name, fault="no bbox of four numbers")
    x, y, width, height = map(_number, box)
    edges: Box = (x, y, x + width, y + height)
    crowd = record.get("iscrowd") in (1, True)
    area = _number(record.get("area"))
    return Mark(
        name=name,
        xyxy=edges,
        ignored=crowd or record.get("ignore") in (1, True),
        crowd=crowd,
        area=None if math.isnan(area) else area,
    )
