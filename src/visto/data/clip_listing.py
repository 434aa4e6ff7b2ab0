"""The clips at a path without labels, for prediction: the path is one, or they lie below it at any depth."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visto.data.clips import ONE_FRAME, clips_of, is_moving, is_video
from visto.data.dataset import Clip
from visto.data.ledger import Entry
from visto.data.video import VIDEO_SUFFIXES, need_extra
from visto.data.walk import Found, natural, readable, walk
from visto.errors import DataError

_WANTED = "a folder of frames, a GIF, WebP or video that moves, or a folder of such clips"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedClips:
    """``found`` has each clip by its id, or why it is none; ``ledger`` what else was passed over or mended."""

    found: Mapping[str, Clip | DataError]
    ledger: tuple[Entry, ...] = ()


def list_clips(path: Path, name: str) -> ListedClips:
    """A folder with more images than films and folders in it is a clip, and so is a file that moves.

    The one at ``path`` itself is called ``name``, others by their path below it. Raises DataError where ``path`` does
    not exist, UsageError where there are videos and PyAV is not installed.
    """
    name = readable(name)
    if not path.exists():
        raise DataError(f"{name} does not exist", expected=_WANTED)
    if not path.is_dir():
        if is_video(path):
            need_extra()
        one = Clip(files=(path,), moving=True) if is_moving(path) else DataError(ONE_FRAME, expected=_WANTED)
        return ListedClips(found={name: one})
    walked = walk(path, also=VIDEO_SUFFIXES)
    films = [found for found in walked.images if is_moving(found.path)]
    if any(is_video(film.path) for film in films):
        need_extra()
    moving = {film.id for film in films}
    stills = [found for found in walked.images if found.id not in moving]
    folders, loose = _clip_folders(films, stills)
    clips, ledger = clips_of({folder or name: frames for folder, frames in folders.items()})
    found: dict[str, Clip | DataError] = {film.id: Clip(files=(film.path,), moving=True) for film in films}
    found.update(clips)
    bad = {e.id: DataError(e.reason) for e in ledger if e.id not in clips and (e.id in folders or e.id == name)}
    found.update(bad)
    order = sorted(found, key=lambda id: [natural(part) for part in id.split("/")])
    left = (*walked.rejected, *loose, *(entry for entry in ledger if entry.id not in bad))
    return ListedClips(found={id: found[id] for id in order}, ledger=left)


def _clip_folders(films: list[Found], stills: list[Found]) -> tuple[dict[str, list[Found]], list[Entry]]:
    """The images of each folder that is a clip ("": the path itself), and the ledger of those that lie elsewhere."""
    images: dict[str, list[Found]] = defaultdict(list)
    for still in stills:
        images[posixpath.dirname(still.id)].append(still)
    ways = {way for found in (*films, *stills) for way in _folders(found.id)}
    inside = Counter(map(posixpath.dirname, [*(film.id for film in films), *ways]))
    clips: dict[str, list[Found]] = {}
    loose: list[Entry] = []
    for folder in sorted(images, key=lambda folder: folder.count("/") + bool(folder)):
        above = next((way for way in ("", *_folders(folder)) if way in clips and way != folder), None)
        if above is not None:
            reason = f"inside the clip {above}" if above else "inside the clip"
        elif len(images[folder]) > inside[folder]:
            clips[folder] = images[folder]
            continue
        else:
            reason = "outside any clip folder"
        loose += [Entry(id=still.id, status="rejected", reason=reason) for still in images[folder]]
    return clips, loose


def _folders(id: str) -> list[str]:
    """Every folder that a path lies in, but the one at the top."""
    parts = id.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts))]
