"""Clips that a list names: the path in a row is a folder of frames, or a file that moves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from visto.data.clips import ONE_FRAME, clips_of, is_moving, is_video
from visto.data.dataset import Clip
from visto.data.ledger import Entry
from visto.data.moving import MOVING_SUFFIXES
from visto.data.video import need_extra
from visto.data.walk import Found, walk
from visto.errors import DataError

_LOOKED_AT = 32


def name_clips(paths: Sequence[Path]) -> bool:
    """Whether most of the paths that there are, of some that are looked at, lead to clips."""
    looks = min(_LOOKED_AT, len(paths))
    some = [paths[k * len(paths) // looks] for k in range(looks)]
    some = [path for path in some if "\0" not in str(path) and path.exists()]
    return 2 * sum(path.is_dir() or is_moving(path) for path in some) > len(some)


def clips_at(paths: Mapping[str, Path]) -> tuple[dict[str, Clip], list[Entry]]:
    """The clip of each path, by its id, and the ledger of those that are none or not whole.

    Raises UsageError where there are videos and PyAV is not installed.
    """
    films: dict[str, Clip] = {}
    frames: dict[str, list[Found]] = {}
    ledger: list[Entry] = []
    for id, path in paths.items():
        if path.is_dir():
            frames[id] = _inside(id, path, ledger)
        elif is_moving(path):
            films[id] = Clip(files=(path,), moving=True)
        else:
            reason = ONE_FRAME if path.suffix.lower() in MOVING_SUFFIXES else "not a clip, as the others are"
            ledger.append(Entry(id=id, status="rejected", reason=reason))
    if any(is_video(clip.files[0]) for clip in films.values()):
        need_extra()
    folders, entries = clips_of(frames)
    found = films | folders
    return {id: found[id] for id in paths if id in found}, ledger + entries


def _inside(id: str, folder: Path, ledger: list[Entry]) -> list[Found]:
    """The frames of one folder; what else lies in it goes to the ledger."""
    try:
        walked = walk(folder)
    except DataError as error:
        ledger.append(Entry(id=id, status="rejected", reason=error.message))
        return []
    ledger += [Entry(id=f"{id}/{entry.id}", status="rejected", reason=entry.reason) for entry in walked.rejected]
    deeper = [found for found in walked.images if len(found.parts) > 1]
    ledger += [Entry(id=f"{id}/{f.id}", status="rejected", reason=f"inside the clip {id}") for f in deeper]
    return [found for found in walked.images if len(found.parts) == 1]
