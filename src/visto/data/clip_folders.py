"""A folder for each class, whose members are clips: folders of numbered frames, moving GIF or WebP files, or videos.

``root/class/clip/0001.png``, ``root/class/clip.mp4``, or with split folders above as in class folders. A folder between
class and clip is the clip's group: ``root/class/person/clip/0001.png``.
"""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from visto.data.class_folders import split_folders
from visto.data.clips import ONE_FRAME, clips_of, is_moving, is_video
from visto.data.dataset import Clip, Dataset, Item
from visto.data.group import straddling
from visto.data.ledger import Entry
from visto.data.moving import MOVING_SUFFIXES
from visto.data.video import VIDEO_SUFFIXES, need_extra
from visto.data.walk import Found, natural, nfc, walk
from visto.errors import DataError
from visto.types import Label, Split

LOOSE = "outside any clip folder"
LAYOUT = (
    "one folder for each class, and in it a folder of numbered frames (root/walk/1/0001.png), a moving GIF or WebP, or "
    "a video for each clip; or the same below train, val and test"
)


def read_clip_folders(path: Path) -> Dataset:
    """List the clips of a folder of classes. Of frames the headers are read; videos are opened when they are decoded.

    Raises DataError for a folder without clips, UsageError where there are videos and PyAV is not installed.
    """
    walked = walk(path, also=VIDEO_SUFFIXES)
    met = _sorted(walked.images)
    if any(is_video(film.path) for film in met.films):
        need_extra()
    clips, ledger = clips_of(met.frames)
    clips |= {film.id: Clip(files=(film.path,), moving=True) for film in met.films}
    if not clips:
        raise _nothing(path, [*ledger, *met.ledger, *walked.rejected])
    ids = sorted(clips, key=lambda id: [natural(part) for part in id.split("/")])
    depth = met.class_depth
    class_of = {id: nfc(id.split("/")[depth - 1]) for id in ids}
    classes = tuple(sorted(set(class_of.values()), key=natural))
    split_of = {id: met.split_of.get(id.split("/")[0]) for id in ids}
    group_of = {id: nfc(parts[depth]) if len(parts := id.split("/")) > depth + 1 else None for id in ids}
    labels = {name: Label(index=index) for index, name in enumerate(classes)}
    data = Dataset(
        name=path.resolve().name,
        format="clip-folders",
        task="sequence",
        classes=classes,
        items=tuple(Item(id, clips[id], labels[class_of[id]], split_of[id], group_of[id]) for id in ids),
        ledger=(*walked.rejected, *met.ledger, *ledger, *_empty_folders(walked.folders, met)),
        declared=frozenset(split for split in split_of.values() if split),
        notes=tuple(_notes(met, list(group_of.values()))),
    )
    return straddling(data)


def _notes(met: "_Met", groups: Sequence[str | None]) -> Iterator[str]:
    if met.frames:
        yield "folders of frames are read as clips (--format class-folders takes each frame for an image)"
    if names := {group for group in groups if group}:
        alone = groups.count(None)
        uneven = f"; without one: {alone:,}, each by itself" if alone else ""
        yield f"{len(names):,} groups, named by the folders between class and clip (--group-by none: no groups){uneven}"


@dataclass(slots=True, kw_only=True)
class _Met:
    """What a walk met, sorted: films, the frames of each folder that is a clip, split folders, and what is neither."""

    split_of: Mapping[str, Split]
    films: list[Found] = field(default_factory=list)
    frames: dict[str, list[Found]] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)

    @property
    def class_depth(self) -> int:
        """How many parts the path of a class folder has."""
        return 2 if self.split_of else 1

    def misplaced(self, parts: tuple[str, ...]) -> str:
        """Why a clip cannot lie there, or nothing."""
        if self.split_of and parts[0] not in self.split_of:
            return f"outside the split folders ({', '.join(self.split_of)})"
        above = next((folder for folder in _above(parts) if folder in self.frames), None)
        return f"inside the clip {above}" if above else ""

    def reject(self, found: Sequence[Found], reason: str) -> None:
        self.ledger += [Entry(id=one.id, status="rejected", reason=reason) for one in found]


def _sorted(images: Sequence[Found]) -> _Met:
    """Tell films and the frames of clips from the rest: a clip's folder holds more images than folders and films."""
    films = [found for found in images if is_moving(found.path)]
    moving = {film.id for film in films}
    stills: dict[str, list[Found]] = defaultdict(list)
    for found in images:
        if found.id not in moving:
            stills[posixpath.dirname(found.id)].append(found)
    members = [*films, *(Found(folder, frames[0].path.parent) for folder, frames in stills.items() if folder)]
    met = _Met(split_of=split_folders(members))
    inside: Counter[str] = Counter(posixpath.dirname(below) for below in _ways({found.id for found in members}))
    for folder in sorted(stills, key=lambda folder: folder.count("/")):
        frames, parts = stills[folder], tuple(folder.split("/"))
        if reason := met.misplaced(parts):
            met.reject(frames, reason)
        elif len(parts) > met.class_depth and len(frames) > inside[folder]:
            met.frames[folder] = frames
        else:
            for found in frames:
                single = found.path.suffix.lower() in MOVING_SUFFIXES
                met.reject([found], ONE_FRAME if single else LOOSE)
    for film in films:
        if reason := met.misplaced(film.parts) or ("" if len(film.parts) > met.class_depth else LOOSE):
            met.reject([film], reason)
        else:
            met.films.append(film)
    return met


def _above(parts: tuple[str, ...]) -> Iterator[str]:
    """Every folder that a path lies in."""
    return ("/".join(parts[:k]) for k in range(1, len(parts)))


def _ways(ids: Set[str]) -> set[str]:
    """The ids, and every folder on the way to one of them."""
    return set(ids).union(*(_above(tuple(id.split("/"))) for id in ids))


def _empty_folders(folders: Sequence[str], met: _Met) -> list[Entry]:
    """An entry for each folder of a class or a clip in which nothing was found that could be a clip."""
    full = _ways(met.frames.keys() | {film.id for film in met.films})
    entries = []
    for folder in (folder.rstrip("/") for folder in folders):
        parts = tuple(folder.split("/"))
        alone = folder not in full and (len(parts) == met.class_depth or posixpath.dirname(folder) in full)
        if alone and not met.misplaced((*parts, "")):
            what = "class folder without clips" if len(parts) == met.class_depth else "clip folder without frames"
            entries.append(Entry(id=f"{folder}/", status="rejected", reason=f"a {what}"))
    return entries


def _nothing(path: Path, entries: Sequence[Entry]) -> DataError:
    met = f"; {len(entries)} files and folders, the first: {entries[0].id} ({entries[0].reason})" if entries else ""
    return DataError(f"no clips in {path}{met}", expected=LAYOUT, hint="look whether this is the right folder")
