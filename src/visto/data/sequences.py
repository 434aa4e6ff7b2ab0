"""Clips and series decoded: a clip is the rows of its frames in the cache, a series those of its steps in memory."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visto.data.clip_frames import clip_frames, one_frame
from visto.data.content import read_content
from visto.data.dataset import DIGEST_BYTES, Clip, Item, Steps, content_digest
from visto.data.ledger import Entry
from visto.data.pixels import Fit, Pixels, offsets_of
from visto.data.store import Record, Store
from visto.errors import DataError
from visto.types import Progress, Size

_LAST = "last frame"  # the note of the record after which a file has no more
_FEWEST = 2  # frames of a clip that something can be seen to happen in

Fitted = Callable[[Tensor, Size], memoryview]
InOrder = Callable[[Callable[[Item], "_Read"], Sequence[Item]], Iterator["_Read"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What became of one clip: its frames' digests, records of the new ones, notes; or why it is no clip."""

    digest: bytes = b""
    frames: tuple[bytes, ...] = ()
    records: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""


def from_clips(
    items: Sequence[Item], fit: Fit, store: Store, fitted: Fitted, in_order: InOrder, limit: int, progress: Progress
) -> Pixels:
    """The frames of clips in ``store``, decoded and ``fitted`` where they are not there yet.

    A frame that cannot be read is left out, and said; a clip with fewer than two others is rejected.
    """

    def read(item: Item) -> _Read:
        assert isinstance(item.source, Clip)  # noqa: S101  (the caller has looked; tells mypy)
        try:
            if item.source.moving:
                return _moving(item.source, fit, store, fitted, limit)
            return _of_files(item.source, fit, store, fitted, limit)
        except DataError as error:
            return _Read(reason=error.message)

    found: list[_Read] = []
    for one in progress(in_order(read, items), total=len(items), words="reading clips"):
        if one.records:
            store.append(one.records)
        found.append(_Read(digest=one.digest, frames=one.frames, notes=one.notes, reason=one.reason))
    return _collected(items, found, store)


def _of_files(clip: Clip, fit: Fit, store: Store, fitted: Fitted, limit: int) -> _Read:
    frames: list[bytes] = []
    records: list[Record] = []
    bad: list[str] = []
    notes: dict[str, None] = {}
    for path in clip.files[:: max(1, fit.every)]:
        try:
            content = read_content(path)
            digest = content_digest(content)
            line = store.find(digest)
            if line is None:
                decoded = one_frame(path, content, fit.at_least, limit)
                pixels = fitted(decoded.batch, decoded.original)
                size = decoded.original
                records.append(
                    Record(digest=digest, height=size.height, width=size.width, notes=decoded.notes, pixels=pixels)
                )
            said = line.notes if line else records[-1].notes
        except DataError as error:
            bad.append(error.message if path.name in error.message else f"{path.name}: {error.message}")
            continue
        frames.append(digest)
        notes |= dict.fromkeys(said)
    if len(frames) < _FEWEST <= len(clip.files) and not bad:
        return _Read(reason=f"too short: only {len(frames)} of its {len(clip.files)} frames is looked at")
    return _whole(frames, records, [*_left_out(bad), *notes], bad)


def _moving(clip: Clip, fit: Fit, store: Store, fitted: Fitted, limit: int) -> _Read:
    content = content_digest(read_content(clip.files[0]))
    frames: list[bytes] = []
    while (line := store.find(digest := _name(content, len(frames)))) is not None:
        frames.append(digest)
        if _LAST in line.notes:
            return _whole(frames, [], [note for note in line.notes if note != _LAST], [])
    frames, records, bad = [], [], []
    try:
        for decoded in clip_frames(clip, fit.every, limit=limit):
            size, digest = decoded.original, _name(content, len(frames))
            pixels = fitted(decoded.batch, size)
            frames.append(digest)
            records.append(Record(digest=digest, height=size.height, width=size.width, notes=(), pixels=pixels))
    except DataError as error:  # what came before is whole
        bad.append(error.message)
    if records:
        last = records[-1]
        records[-1] = Record(
            digest=last.digest, height=last.height, width=last.width, notes=(*bad, _LAST), pixels=last.pixels
        )
    return _whole(frames, records, bad, bad)


def _whole(frames: Sequence[bytes], records: Sequence[Record], notes: Sequence[str], bad: Sequence[str]) -> _Read:
    if len(frames) < _FEWEST:
        reason = "; ".join(bad) or "only one frame: nothing moves"
        return _Read(reason=reason if frames or bad else "no frame", records=tuple(records))
    digest = hashlib.blake2b(b"".join(frames), digest_size=DIGEST_BYTES).digest()
    return _Read(digest=digest, frames=tuple(frames), records=tuple(records), notes=tuple(notes))


def _left_out(bad: Sequence[str]) -> list[str]:
    if not bad:
        return []
    return [f"{len(bad)} frame{'s' if len(bad) > 1 else ''} left out ({bad[0]}{', for one' if len(bad) > 1 else ''})"]


def _name(content: bytes, place: int) -> bytes:
    """The digest of one frame of a file, by the file's and its place among those that are looked at."""
    return content_digest(content + b" frame " + str(place).encode())


def _collected(items: Sequence[Item], found: Sequence[_Read], store: Store) -> Pixels:
    kept: list[Item] = []
    entries: list[Entry] = []
    rows: list[int] = []
    lengths: list[int] = []
    sizes: list[tuple[int, int]] = []
    digests = bytearray()
    for item, one in zip(items, found, strict=True):
        lines = [store.find(digest) for digest in one.frames]
        known = [line for line in lines if line is not None]
        if one.reason or len(known) < len(lines):
            reason = one.reason or "lost from the cache while it was read"
            entries.append(Entry(id=item.id, status="rejected", reason=reason))
            continue
        status = "repaired" if one.notes else "kept"
        entries.append(Entry(id=item.id, status=status, reason="; ".join(one.notes)))  # type: ignore[arg-type]
        kept.append(item)
        rows += [line.row for line in known]
        lengths.append(len(known))
        sizes.append((known[0].height, known[0].width))
        digests += one.digest
    return Pixels(
        storage=store.pixels(),
        rows=torch.tensor(rows, dtype=torch.int64),
        items=tuple(kept),
        digests=torch.from_numpy(np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)),
        sizes=torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2),
        entries=tuple(entries),
        offsets=offsets_of(lengths),
    )


def from_steps(items: Sequence[Item], fit: Fit) -> Pixels:
    """Series as they are; one with another number of values a step than ``fit.shape`` is rejected."""
    kept, entries = [], []
    sources: list[Steps] = []
    for item in items:
        assert isinstance(item.source, Steps)  # noqa: S101  (the caller has looked; tells mypy)
        width = item.source.array.shape[1]
        if (width,) != fit.shape:
            reason = f"{width} number{'s' if width > 1 else ''} a step, not {fit.shape[0]}"
            entries.append(Entry(id=item.id, status="rejected", reason=reason))
            continue
        entries.append(Entry(id=item.id, status="kept"))
        kept.append(item)
        sources.append(item.source)
    arrays = {id(source.array): source.array for source in sources}
    begins = dict(zip(arrays, offsets_of([len(array) for array in arrays.values()]).tolist(), strict=False))
    stacked = [torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays.values()]
    rows = [torch.arange(s.start, s.stop) + begins[id(s.array)] for s in sources]
    lengths = [s.stop - s.start for s in sources]
    digests = b"".join(_named(source) for source in sources)
    return Pixels(
        storage=torch.cat([torch.empty(0, *fit.shape), *stacked]) if len(stacked) != 1 else stacked[0],
        rows=torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64),
        items=tuple(kept),
        digests=torch.from_numpy(np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES).copy()),
        sizes=torch.tensor([(length, 1) for length in lengths], dtype=torch.int64).reshape(-1, 2),
        entries=tuple(entries),
        offsets=offsets_of(lengths),
    )


def _named(source: Steps) -> bytes:
    values = np.ascontiguousarray(source.values, np.float32)
    return content_digest(str(values.shape).encode() + values.tobytes())
