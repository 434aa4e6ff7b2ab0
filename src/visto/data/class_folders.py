"""A folder for each class: ``root/class/**``, or with split folders above, ``root/train/class/**``."""

import posixpath
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from visto.data.content import read_content
from visto.data.dataset import Dataset, Item
from visto.data.ledger import Entry
from visto.data.walk import Found, Walked, natural, nfc, walk
from visto.errors import DataError
from visto.types import Label, Split

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_NO_CLASS = re.compile("images|labels|jpegimages|obj_.*_data", re.I)
_TWINS = {
    ".txt": re.compile(rb"\s*\d+(\s+[\d.e+-]+){4,}\s*(\n|\r|$)"),
    ".xml": re.compile(rb".*?<annotation", re.S),
}
_LOOKED_AT = 8  # twins opened of those that there are
LAYOUT = "one folder for each class (root/cat/1.jpg), or the same below train, val and test (root/train/cat/1.jpg)"


def read_class_folders(path: Path) -> Dataset:
    """List the images of a folder of classes. Nothing is opened: bad files are found when they are decoded.

    Raises DataError for a folder without images, with images but no class folders, or with boxes beside them.
    """
    walked = walk(path)
    if not walked.images:
        raise _nothing(path, walked.rejected)
    if _has_boxes(path, walked):
        raise _boxes(path)
    split_of = split_folders(walked.images)
    ledger = list(walked.rejected)
    listed: list[tuple[Found, str, Split | None]] = []
    for found in walked.images:
        head, *below = found.parts
        split = split_of.get(head)
        if not split_of and below:
            listed.append((found, nfc(head), None))
        elif split and len(below) > 1:
            listed.append((found, nfc(below[0]), split))
        else:
            place = "any class folder" if split or not split_of else f"the split folders ({', '.join(split_of)})"
            ledger.append(Entry(id=found.id, status="rejected", reason=f"an image outside {place}"))
    if not listed:
        raise _no_classes(path, walked.images)
    classes = tuple(sorted({name for _, name, _ in listed}, key=natural))
    if all(_NO_CLASS.fullmatch(name) for name in classes):
        raise _boxes(path, f"the only folders of images are called {', '.join(classes)}: ")
    labels = {name: Label(index=index) for index, name in enumerate(classes)}
    ledger += _empty_classes(walked.folders, walked.images, split_of)
    return Dataset(
        name=path.resolve().name,
        format="class-folders",
        task="classification",
        classes=classes,
        items=tuple(Item(id=f.id, source=f.path, target=labels[name], split=split) for f, name, split in listed),
        ledger=tuple(ledger),
        declared=frozenset(split for _, _, split in listed if split),
    )


def split_folders(images: Sequence[Found]) -> dict[str, Split]:
    """Top folders named like a split, by name; none where they are classes that happen to be called so.

    A class may be called ``test``. So a split name counts only where some such folder has class folders below, or
    where no other folder holds images (``train`` and ``test`` full of loose images are not two classes).
    """
    tops = {found.parts[0] for found in images if len(found.parts) > 1}
    named = {top: SPLIT_NAMES[top.casefold()] for top in sorted(tops) if top.casefold() in SPLIT_NAMES}
    nested = any(len(found.parts) > 2 for found in images if found.parts[0] in named)
    return named if nested or len(named) == len(tops) else {}


def _has_boxes(root: Path, walked: Walked) -> bool:
    """Whether most images have a file of boxes beside them, or in labels/ for images/: YOLO's rows, or VOC's XML."""
    others = {entry.id: None for entry in walked.rejected if entry.id[-4:].lower() in _TWINS}
    if 2 * len(others) <= len(walked.images):
        return False
    twins = [twin for found in walked.images if (twin := _twin(found.id, others))]
    if 2 * len(twins) <= len(walked.images):
        return False
    some = [twins[k * len(twins) // _LOOKED_AT] for k in range(_LOOKED_AT)]
    return 2 * sum(_holds_boxes(root / twin) for twin in some) > _LOOKED_AT


def _twin(image: str, others: Collection[str]) -> str | None:
    stem, folder = posixpath.splitext(image)[0], posixpath.dirname(image)
    parts = folder.split("/")
    tries = [stem + suffix for suffix in _TWINS]
    for k in range(len(parts) - 1, -1, -1):
        if parts[k].casefold() in ("images", "jpegimages"):
            for name in ("labels", "Annotations", "annotations"):
                below = "/".join([*parts[:k], name, *parts[k + 1 :], posixpath.basename(stem)])
                tries += [below + suffix for suffix in _TWINS]
            break
    return next((id for id in tries if id in others), None)


def _holds_boxes(file: Path) -> bool:
    try:
        return _TWINS[file.suffix.lower()].match(read_content(file)[:4096]) is not None
    except DataError:
        return False


def _empty_classes(folders: Sequence[str], images: Sequence[Found], split_of: dict[str, Split]) -> list[Entry]:
    """An entry for each class folder that holds no image."""
    depth = 2 if split_of else 1
    full = {found.parts[:depth] for found in images}
    empty = [
        folder
        for folder in folders
        if len(parts := tuple(folder.rstrip("/").split("/"))) == depth
        and parts not in full
        and (not split_of or parts[0] in split_of)
    ]
    return [Entry(id=folder, status="rejected", reason="a class folder without images") for folder in empty]


def _nothing(path: Path, rejected: Sequence[Entry]) -> DataError:
    met = f"; {len(rejected)} other files, the first: {rejected[0].id} ({rejected[0].reason})" if rejected else ""
    return DataError(f"no images in {path}{met}", expected=LAYOUT, hint="look whether this is the right folder")


def _boxes(path: Path, met: str = "most images have a file of boxes: ") -> DataError:
    return DataError(
        f"{path} is not read as class folders: {met}this looks like data with boxes (YOLO, Pascal VOC)",
        expected=LAYOUT,
        hint="for boxes in .txt files write the names of the classes, one a line, into classes.txt beside images/ and "
        "labels/, or data.yaml; for classes give the folder in which their folders lie",
    )


def _no_classes(path: Path, images: Sequence[Found]) -> DataError:
    return DataError(
        f"{len(images)} images in {path}, but no class folders; the first: {images[0].id}",
        expected=LAYOUT,
        hint="move the images into a folder for each class, or name their classes in a labels.csv: path,label",
    )


def recognises_class_folders(path: Path) -> bool:
    """Any folder: the reader says what is missing."""
    return path.is_dir()
