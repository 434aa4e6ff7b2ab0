"""Whether a folder holds clips: told from class folders of images by a quick look, before anything is walked or read.

Videos and moving GIF or WebP files are clips. Folders of images may be clips, or images in good order: they are taken
for clips where a class has several, and the names in each are those of frames (one prefix, numbers that follow each
other) and the first and last picture of one size.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

from visto.data.class_folders import SPLIT_NAMES
from visto.data.clips import is_video
from visto.data.frame_names import ordered
from visto.data.header import Header, read_headers
from visto.data.moving import MOVING_SUFFIXES, moves
from visto.data.walk import IMAGE_SUFFIXES, SYSTEM_NAMES, natural, nfc

X = TypeVar("X")

_NO_CLASS = re.compile("images|jpegimages|labels|annotations|masks", re.I)
_LOOKED_AT = 8  # of the members of a class, and of all folders of images
_PER_CLASS = 3  # folders of frames that make "several"
_FRAMES = 4  # that a clip has at least, mostly
_LOOSE = 10  # clips for each image that lies loose among them


def recognises_clip_folders(path: Path) -> bool:
    """Where in doubt: no, so that what is read as images stays so."""
    if not path.is_dir():
        return False
    films, loose = 0, 0
    folders: list[Path] = []
    names: set[str] = set()
    for folder in _class_folders(path):
        inside = _look(folder)
        if len(inside.stills) > inside.films + len(inside.folders):
            return False
        films, loose = films + inside.films, loose + len(inside.stills)
        folders += inside.folders
        names.add(nfc(folder.name))
    if not (films or folders) or any(map(_NO_CLASS.fullmatch, names)) or loose * _LOOSE > films + len(folders):
        return False
    return films >= len(folders) or _are_clips(folders, classes=len(names))


def _class_folders(root: Path) -> list[Path]:
    tops = _look(root).folders
    splits = [top for top in tops if top.name.casefold() in SPLIT_NAMES]
    return [folder for split in splits for folder in _look(split).folders] if splits else tops


@dataclass(slots=True, kw_only=True)
class _Inside:
    """What lies in one folder: how many films, the names of still images, and folders."""

    films: int = 0
    stills: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


def _look(folder: Path) -> _Inside:
    inside, unsure = _Inside(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith(".") or entry.name.casefold() in SYSTEM_NAMES:
                    continue
                if suffix in MOVING_SUFFIXES:
                    unsure.append(entry.name)
                elif suffix in IMAGE_SUFFIXES:
                    inside.stills.append(entry.name)
                elif is_video(Path(entry.name)):
                    inside.films += 1
                elif entry.is_dir():
                    inside.folders.append(Path(entry.path))
    except OSError:
        return _Inside()
    inside.folders.sort(key=lambda folder: natural(folder.name))
    unsure.sort(key=natural)
    some = _spread(unsure)
    if some and 2 * sum(moves(folder / name) for name in some) > len(some):
        inside.films += len(unsure)
    else:
        inside.stills += unsure
    return inside


def _spread(all: Sequence[X]) -> list[X]:
    looks = min(_LOOKED_AT, len(all))
    return [all[k * len(all) // looks] for k in range(looks)]


def _are_clips(folders: Sequence[Path], *, classes: int) -> bool:
    """Whether folders in class folders are clips, or hold clips (a folder for each person), as far as a look tells."""
    some = _spread(folders)
    looks = [_looks_like(folder) for folder in some]
    frames = [count for look in looks for count in look.frames]
    several = mean(look.clips for look in looks) * len(folders) >= _PER_CLASS * classes
    sure = 4 * sum(look.clips > 0 for look in looks) >= 3 * len(looks)
    return several and sure and (not frames or (classes > 1 and median(frames) >= _FRAMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clips:
    """How many clips a folder is or holds, and how many frames those have that were looked at."""

    clips: int = 0
    frames: tuple[int, ...] = ()


def _looks_like(folder: Path) -> _Clips:
    inside = _look(folder)
    if inside.films > len(inside.stills):
        return _Clips(clips=inside.films)
    below = [folder] if inside.stills else _spread(inside.folders)
    good = tuple(count for place in below if (count := _frames(place)))
    if not good or 4 * len(good) < 3 * len(below):
        return _Clips()
    return _Clips(clips=1 if inside.stills else len(inside.folders), frames=good)


def _frames(folder: Path) -> int:
    """How many images a folder holds whose names are those of frames, and the first and last are of one size; or 0."""
    inside = _look(folder)
    order = ordered(inside.stills)
    numbers = order.numbers
    if len(numbers) < 2 or inside.folders or 10 * len(numbers) < 9 * len(inside.stills):
        return 0
    if not order.step or (numbers[-1] - numbers[0]) // order.step >= 2 * len(numbers):
        return 0
    ends = read_headers([folder / order.names[0], folder / order.names[-1]])
    same = len({end.size for end in ends if isinstance(end, Header)}) == 1
    return len(numbers) if same and all(isinstance(end, Header) for end in ends) else 0
