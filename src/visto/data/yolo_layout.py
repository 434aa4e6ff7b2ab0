"""Where the images of YOLO labels lie and what their classes are called: by a data.yaml, or by the folders alone.

Paths in such files are often those of another machine: what is not there is looked for below the file's own folder.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from visto.data.box_ledger import canonical_path
from visto.data.class_folders import SPLIT_NAMES
from visto.data.content import read_content
from visto.data.ledger import Entry
from visto.data.walk import IMAGE_SUFFIXES, nfc, walk
from visto.errors import DataError
from visto.types import Split

LAYOUT = "data.yaml with names, train and val; or images/, labels/ and classes.txt"
NAME_LISTS = ("classes.txt", "obj.names")
_YAML = (".yaml", ".yml")
_NAMES_LINE = re.compile(rb"^names\s*:", re.M)
_PLACES_LINE = re.compile(rb"^(train(ing)?|val(id(ation)?)?)\s*:", re.M | re.I)
_SPLIT_FOLDER = re.compile(r"(?:obj_)?([a-z]+?)(?:_data|[ _-]?\d*)", re.I)  # train, train2017, obj_train_data
_BEGINNING = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is to be read: ids are paths below ``root``; ``places`` are folders of images, or lists of them."""

    file: Path
    root: Path
    names: Mapping[int, str]
    places: Sequence[tuple[Split | None, Path]]
    has_points: bool = False
    ledger: tuple[Entry, ...] = ()

    def id(self, path: Path) -> str:
        return posixpath.normpath(Path(os.path.relpath(path, self.root)).as_posix())


def recognises_yolo(path: Path) -> bool:
    """A .yaml with names and train or val, a folder with one, or a folder that holds images and labels as YOLO does."""
    if not path.is_dir():
        return path.suffix.lower() in _YAML and path.is_file()
    return _yaml_file(path, _NAMES_LINE, _PLACES_LINE) is not None or _flat_labels(path) or _split_labels(path)


def layout_of(path: Path) -> Layout:
    """What a data.yaml says, or the only one in a folder, or that folder. Raises DataError for what is not there."""
    if not path.is_dir():
        return _of_yaml(path)
    file = _yaml_file(path, _NAMES_LINE, _PLACES_LINE)
    return _of_yaml(file) if file is not None else _of_folder(path)


def _yaml_file(folder: Path, *lines: re.Pattern[bytes]) -> Path | None:
    """The only .yaml of a folder with such lines; data.yaml where there are several."""
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in _YAML and _has_lines(file, lines))
    chosen = [file for file in found if file.stem == "data"] or found
    return chosen[0] if len(chosen) == 1 else None


def _has_lines(file: Path, lines: Sequence[re.Pattern[bytes]]) -> bool:
    try:
        if not file.is_file():  # a FIFO would be waited for
            return False
        with open(file, "rb") as stream:
            beginning = stream.read(_BEGINNING)
    except OSError:
        return False
    return all(line.search(beginning) for line in lines)


def _split_of(name: str) -> Split | None:
    """The split that a folder is called like, with a year or as darknet does."""
    found = _SPLIT_FOLDER.fullmatch(name)
    return SPLIT_NAMES.get(found[1].casefold()) if found else None


def _split_folders(folder: Path) -> list[tuple[Split, Path]]:
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return [(split, entry) for entry in entries if (split := _split_of(entry.name))]


def _split_labels(folder: Path) -> bool:
    """Folders ``images`` and ``labels`` with text files, in it or in folders called like a split; or obj_train_data."""
    for base in (folder, *(below for _, below in _split_folders(folder))):
        labels = base / "labels"
        if not labels.is_dir() or not (base / "images").is_dir():
            continue
        if any(_has_text(entry) for entry in (labels, *(below for _, below in _split_folders(labels)))):
            return True
    has_names = any((folder / name).is_file() for name in NAME_LISTS)
    return any(_has_twins(below) for _, below in _split_folders(folder) if has_names or below.name[:4] == "obj_")


def _flat_labels(folder: Path) -> bool:
    """A list of classes, and beside it an image with a text file of its name."""
    return any((folder / name).is_file() for name in NAME_LISTS) and _has_twins(folder)


def _has_twins(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        names = [os.path.splitext(entry.name) for entry in entries]
    texts = {stem for stem, suffix in names if suffix.lower() == ".txt"}
    return any(stem in texts for stem, suffix in names if suffix.lower() in IMAGE_SUFFIXES)


def _has_text(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(".txt") and entry.name not in NAME_LISTS for entry in entries)
    except OSError:
        return False


def _of_folder(root: Path) -> Layout:
    """A folder without data.yaml. Raises DataError without a list of classes."""
    lists = [root / name for name in NAME_LISTS] + [root / "labels" / name for name in NAME_LISTS]
    file = next((file for file in lists if file.is_file()), None) or _yaml_file(root, _NAMES_LINE)
    if file is None:
        hint = "write them into classes.txt, one a line"
        raise DataError(f"no names of classes in {root}", expected=LAYOUT, hint=hint)
    if file.suffix.lower() in _YAML:
        classes = _names(file, _load(file))
    else:
        lines = enumerate(nfc(line.strip()) for line in _text(file).split("\n"))
        classes = {number: name for number, name in lines if name}
    images = root / "images"
    below: list[tuple[Split | None, Path]] = []
    for split, folder in _split_folders(images if images.is_dir() else root):
        below.append((split, folder / "images" if (folder / "images").is_dir() else folder))
    places = below or [(None, images if images.is_dir() else root)]
    return Layout(file=file, root=root, names=classes, places=places)


def _load(file: Path) -> Mapping[object, object]:
    try:
        # BaseLoader makes text, lists and dicts of everything: a class called no must not become False
        said = yaml.load(_text(file), Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1} of " if mark else ""
        raise DataError(f"{line}{file} is not YAML: {getattr(error, 'problem', error)}", expected=LAYOUT) from error
    except RecursionError as error:
        raise DataError(f"{file} is nested too deeply", expected=LAYOUT) from error
    if not isinstance(said, dict):
        raise DataError(f"{file} holds no keys", expected=LAYOUT)
    return said


def _of_yaml(file: Path) -> Layout:
    """Follow a data.yaml. Raises DataError where it names no classes, or no images to train on that are there."""
    said = _load(file)
    names = _names(file, said)
    root = _root(file, said.get("path"))
    places: list[tuple[Split | None, Path]] = []
    ledger: list[Entry] = []
    missing: list[tuple[Split, str, list[object]]] = []
    for key, value in said.items():
        split = SPLIT_NAMES.get(key.casefold()) if isinstance(key, str) else None
        if split is None:
            continue
        texts = [text for text in (value if isinstance(value, list) else [value]) if text]
        found = [(text, *_resolved(file, root, text)) for text in texts]
        places += [(split, place) for _, place, _ in found if place is not None]
        if gone := [text for text, place, _ in found if place is None]:
            missing.append((split, str(key), gone))
        for text in (text for text, place, moved in found if moved and place is not None):
            reason = "a path of another place: its leading folders were dropped"
            ledger.append(Entry(id=f"{file.name}: {key}: {text}", status="repaired", reason=reason))
    has_train = any(split == "train" for split, _ in places)
    for split, key, gone in missing:
        if not places or (split == "train" and not has_train):
            raise DataError(
                f"{key} of {file} is {gone[0]}, which is not there", expected=f"a folder or list below {root}"
            )
        reason = f"no such folder or list: {', '.join(map(str, gone))}"
        ledger.append(Entry(id=f"{file.name}: {key}", status="rejected", reason=reason))
    if not places:
        raise DataError(f"{file} names no images", expected="train and val: folders of images, or lists of them")
    return Layout(
        file=file, root=root, names=names, places=places, has_points=bool(said.get("kpt_shape")), ledger=tuple(ledger)
    )


def _names(file: Path, said: Mapping[object, object]) -> dict[int, str]:
    names = said.get("names")
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    found: dict[int, str] = {}
    for number, name in pairs:
        if not isinstance(name, str) or not name.strip() or not re.fullmatch(r"\d{1,9}", str(number)):
            raise DataError(f"a class in {file} without a number or a name: {number}", expected="names: [cat, dog]")
        found[int(number)] = nfc(name.strip())
    if not found:
        raise DataError(f"no names of classes in {file}", expected="names: [cat, dog]")
    nc = said.get("nc")
    if isinstance(nc, str) and nc.strip() and nc.strip() != str(len(found)):
        raise DataError(f"nc is {nc} in {file}, but there are {len(found)} names", expected="a name for each class")
    return found


def _root(file: Path, said: object) -> Path:
    """The folder that paths are taken from: ``path`` below the file's own, which it is where ``path`` is not there."""
    folder = file.parent / canonical_path(said) if isinstance(said, str) and "\0" not in said else file.parent
    return folder if folder.is_dir() else file.parent


def _resolved(file: Path, root: Path, text: object) -> tuple[Path | None, bool]:
    """The folder or list that a data.yaml means, and whether leading folders had to be dropped to find it.

    Roboflow writes ../train/images for train/images: that is its way, and not said.
    """
    if not isinstance(text, str) or "\0" in text:
        return None, False
    name = canonical_path(text)
    beside = re.sub(r"^(\.\./)+", "", name)
    bases = (root, file.parent)
    there = next((base / one for one in (name, beside) for base in bases if os.path.exists(base / one)), None)
    if there is not None:
        return there, False
    return _moved(bases, name), True


def _moved(bases: Sequence[Path], name: str) -> Path | None:
    """A path of another machine below one of ``bases``: its leading folders are dropped one by one.

    One that names a split is not: images/ is not what valid/images was.
    """
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    last = max((k for k, part in enumerate(parts) if _split_of(posixpath.splitext(part)[0])), default=len(parts) - 1)
    tries = (base / "/".join(parts[k:]) for k in range(last + 1) for base in bases)
    return next((path for path in tries if os.path.exists(path)), None)


def images_of(found: Layout, place: Path, ledger: list[Entry]) -> Iterator[tuple[str, Path]]:
    """The images of a folder, or those that a list names, by their ids."""
    if place.is_dir():
        below = found.id(place)
        for each in walk(place).images:
            yield posixpath.normpath(posixpath.join(below, each.id)), each.path
        return
    bases, has_moved = (place.parent, found.root), any(entry.id == found.id(place) for entry in ledger)
    for line, text in enumerate(_text(place).split("\n"), start=1):
        name = canonical_path(text)
        if not name:
            continue
        tries = [base / name for base in bases] if "\0" not in name else []
        image = next((path for path in tries if os.path.exists(path) and not path.is_dir()), None)
        if image is None and tries and (image := _moved(bases, name)) and not has_moved:
            reason = f"paths of another place, as {name}: their leading folders were dropped"
            ledger.append(Entry(id=found.id(place), status="repaired", reason=reason))
            has_moved = True
        if image is None:
            ledger.append(Entry(id=f"{found.id(place)}:{line}: {name}", status="rejected", reason="no such file"))
        else:
            yield found.id(image), image


def _text(file: Path) -> str:
    try:
        return read_content(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except DataError as error:
        raise DataError(f"{file}: {error.message}", expected=error.expected) from error
