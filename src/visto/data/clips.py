"""From the files of a folder to a clip: its frames in order, and what is wrong with them in the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from visto.data.dataset import Clip
from visto.data.frame_names import Ordered, ordered
from visto.data.header import Header, read_headers
from visto.data.ledger import Entry
from visto.data.moving import MOVING_SUFFIXES, moves
from visto.data.video import VIDEO_SUFFIXES
from visto.data.walk import Found
from visto.errors import DataError

ONE_FRAME = "only one frame: nothing moves"


def is_video(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_moving(path: Path) -> bool:
    """Whether a file is a clip by itself: a video by its name, or a GIF or WebP that moves."""
    return is_video(path) or (path.suffix.lower() in MOVING_SUFFIXES and moves(path))


def clips_of(folders: Mapping[str, Sequence[Found]]) -> tuple[dict[str, Clip], list[Entry]]:
    """The clip of each folder of frames, by the folder's id, and the ledger of what is no clip or not whole.

    Only headers are read. A clip that lacks frames, or has some that cannot be used, is repaired; one of fewer than
    two frames is rejected.
    """
    orders = {id: ordered([found.parts[-1] for found in frames]) for id, frames in folders.items()}
    found_at = {id: {found.parts[-1]: found for found in frames} for id, frames in folders.items()}
    places = [(id, name) for id, order in orders.items() for name in order.names]
    headers = read_headers([found_at[id][name].path for id, name in places])
    headers_of: dict[str, list[Header | DataError]] = {id: [] for id in folders}
    for (id, _), header in zip(places, headers, strict=True):
        headers_of[id].append(header)
    clips: dict[str, Clip] = {}
    ledger: list[Entry] = []
    for id, order in orders.items():
        whole = [name for name, header in zip(order.names, headers_of[id], strict=True) if isinstance(header, Header)]
        ledger += _left_out(id, order, headers_of[id])
        if len(whole) < 2:
            none = f"none of its {len(folders[id])} frames can be used" if folders[id] else "a folder without frames"
            reason = ONE_FRAME if whole else none
            ledger.append(Entry(id=id, status="rejected", reason=reason))
            continue
        clips[id] = Clip(files=tuple(found_at[id][name].path for name in whole))
        if words := _mended(order, headers_of[id]):
            ledger.append(Entry(id=id, status="repaired", reason=words))
    return clips, ledger


def _left_out(id: str, order: Ordered, headers: Sequence[Header | DataError]) -> list[Entry]:
    """An entry for each file that is no frame of the clip."""
    reasons = [(name, f"named otherwise than the frames beside it, such as {order.names[0]}") for name in order.odd]
    reasons += [(name, f"the same frame number as {kept}") for name, kept in order.double]
    reasons += [
        (name, header.message)
        for name, header in zip(order.names, headers, strict=True)
        if isinstance(header, DataError)
    ]
    return [Entry(id=f"{id}/{name}", status="rejected", reason=reason) for name, reason in reasons]


def _mended(order: Ordered, headers: Sequence[Header | DataError]) -> str:
    words = [order.missing]
    bad = sum(isinstance(header, DataError) for header in headers) + len(order.double)
    words.append(f"{bad} frame{'' if bad == 1 else 's'} left out" if bad else "")
    sizes = Counter(header.size for header in headers if isinstance(header, Header))
    if len(sizes) > 1:
        size = sizes.most_common(1)[0][0]
        words.append(f"frames of {len(sizes)} sizes, most of them {size.width}×{size.height}")
    return "; ".join(filter(None, words))
