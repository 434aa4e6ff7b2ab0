"""Every image decoded once: the pixels of a data set, fitted, as one tensor mapped from the disk.

Images are known by the digest of their content, so a file that was moved, renamed or listed twice is decoded once.
Data that comes as arrays never goes to disk.
"""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto import native
from visto.data.content import read_content
from visto.data.dataset import DIGEST_BYTES, Clip, Item, PixelRow, Steps, content_digest, row_digests
from visto.data.decode import PIXEL_LIMIT, decode
from visto.data.ledger import Entry, Status
from visto.data.pixels import Fit, Pixels, take
from visto.data.sequences import from_clips, from_steps
from visto.data.store import Record, Store
from visto.errors import DataError
from visto.threads import pool_of
from visto.types import Progress, Size, silent

# Raised when decode() comes to give other pixels for the same bytes.
_DECODER = 1
_LAYOUT = "HWC, small ones as they are"
_IN_FLIGHT = 4
_TOGETHER = 8  # files that one task reads, decodes and keeps: with fewer, threads wait for each other more often
_READ_BYTES = 1 << 20  # of one task, before it decodes them
_BATCH = 512
_WORTH_BUILDING = 1 << 24  # bytes of pixels, 112 images of 224: torch takes as long for fewer, and to normalise them

A = TypeVar("A")
B = TypeVar("B")

__all__ = ["Fit", "Pixels", "materialise", "take"]


def materialise(
    items: Sequence[Item], fit: Fit, *, threads: int, progress: Progress = silent, limit: int = PIXEL_LIMIT
) -> Pixels:
    """Decode and fit ``items``, or find them in the cache; what cannot be decoded is rejected in ``entries``.

    ``limit`` is the most pixels an image may have before it is fitted. Raises ResourceError where the cache cannot
    be written.
    """
    kind = _kind(items)
    if kind is PixelRow:
        return _from_arrays(items, fit, progress)
    if kind is Steps:
        return from_steps(items, fit)
    if kind is Clip:
        return _from_clips(items, fit, threads, progress, limit)
    return _from_files(items, fit, threads, progress, limit)


def _kind(items: Sequence[Item]) -> type:
    """What the items are made of: all of one kind."""
    kinds = {type(item.source) if not isinstance(item.source, Path) else Path for item in items}
    if len(kinds) > 1:
        raise TypeError(f"items of several kinds: {', '.join(sorted(kind.__name__ for kind in kinds))}")
    return next(iter(kinds), Path)


def _from_clips(items: Sequence[Item], fit: Fit, threads: int, progress: Progress, limit: int) -> Pixels:
    with Store(_key(fit), _image_shape(fit)) as store:

        def fitted(images_nchw: Tensor, original: Size) -> memoryview:
            return _record_bytes(_fitted(fit, images_nchw, original))

        return from_clips(
            items, fit, store, fitted, lambda read, some: _in_order(read, some, threads, ahead=1), limit, progress
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What became of one file: rejected with a reason, or known by its digest."""

    digest: bytes = b""
    reason: str = ""


def _from_files(items: Sequence[Item], fit: Fit, threads: int, progress: Progress, limit: int) -> Pixels:
    with Store(_key(fit), _image_shape(fit), fit.stored_size) as store:

        def fetch(some: Sequence[Item]) -> list[_Fetched]:
            found: list[Record | _Fetched] = []
            left = iter(some)
            while read := _read(left):
                found += [_fetch(one, fit, store, limit) for one in read]
            if new := [one for one in found if isinstance(one, Record)]:
                store.append(new)
            return [_Fetched(digest=one.digest) if isinstance(one, Record) else one for one in found]

        if len(items) * store.record_bytes >= _WORTH_BUILDING:
            native.begin_building("pixels")
        together = max(1, min(_TOGETHER, len(items) // (_IN_FLIGHT * threads)))
        parts = [items[start : start + together] for start in range(0, len(items), together)]
        with contextlib.closing(_in_order(fetch, parts, threads)) as read:
            fetched = list(progress(chain.from_iterable(read), total=len(items), words="reading images"))
        return _collect(items, fetched, store)


def _read(items: Iterator[Item]) -> list[bytes | DataError]:
    """The content of the next files, until they are many bytes; what cannot be read is the error.

    Several at once: each call of the system lets another thread have Python's lock, and small ones among long ones made
    two threads as slow as one.
    """
    read: list[bytes | DataError] = []
    size = 0
    while size < _READ_BYTES and (item := next(items, None)) is not None:
        assert isinstance(item.source, Path)  # noqa: S101  (all items are files; tells mypy)
        try:
            content = read_content(item.source)
        except DataError as error:
            read.append(error)
            continue
        read.append(content)
        size += len(content)
    return read


def _fetch(content: bytes | DataError, fit: Fit, store: Store, limit: int) -> Record | _Fetched:
    """The record of a file that is new. It was read once: the bytes that are hashed are the bytes that are decoded."""
    try:
        if isinstance(content, DataError):
            raise content
        digest = content_digest(content)
        if store.find(digest) is not None:
            return _Fetched(digest=digest)
        decoded = decode(content, at_least=fit.at_least, limit=limit)
        pixels = _to_store(fit, decoded.batch, decoded.original)
    except DataError as error:
        return _Fetched(reason=error.message)
    return Record(
        digest=digest,
        height=decoded.original.height,
        width=decoded.original.width,
        notes=decoded.notes,
        pixels=_record_bytes(pixels),
    )


def _collect(items: Sequence[Item], fetched: Sequence[_Fetched], store: Store) -> Pixels:
    kept, entries, rows, sizes, stored = [], [], [], [], []
    digests = bytearray()
    for item, result in zip(items, fetched, strict=True):
        line = store.find(result.digest) if not result.reason else None
        if line is None:
            reason = result.reason or "lost from the cache while it was read"
            entries.append(Entry(id=item.id, status="rejected", reason=reason))
            continue
        status: Status = "repaired" if line.notes else "kept"
        entries.append(Entry(id=item.id, status=status, reason="; ".join(line.notes)))
        kept.append(item)
        rows.append(line.row)
        sizes.append((line.height, line.width))
        stored.append(store.stored_size(line.height, line.width))
        digests += result.digest
    return Pixels(
        storage=store.pixels(),
        rows=torch.tensor(rows, dtype=torch.int64),
        items=tuple(kept),
        digests=torch.from_numpy(np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)),
        sizes=torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2),
        entries=tuple(entries),
        stored=torch.tensor(stored) if set(stored) - {store.shape[1:]} else None,
    )


def _key(fit: Fit) -> str:
    """All that the stored pixels depend on besides the content of the file."""
    needs = [fit.at_least.height, fit.at_least.width] if fit.at_least else None
    codecs = {"pillow": PIL.__version__, "simplejpeg": simplejpeg.__version__, "decoder": _DECODER, "layout": _LAYOUT}
    return json.dumps({"fit": fit.key, "at_least": needs, **codecs}, sort_keys=True)


def _image_shape(fit: Fit) -> tuple[int, int, int]:
    channels, height, width = fit.shape
    return channels, height, width


def _record_bytes(images_nchw: Tensor) -> memoryview:
    """One image as the store holds it, H×W×C."""
    return np.ascontiguousarray(images_nchw.numpy().transpose(0, 2, 3, 1)).reshape(-1).data


def _fitted(fit: Fit, images_nchw: Tensor, original: Size | None = None) -> Tensor:
    return _checked(fit(images_nchw, original), len(images_nchw), fit.shape)


def _to_store(fit: Fit, images_nchw: Tensor, original: Size) -> Tensor:
    size = fit.stored_size(original)
    return _checked(fit.to_store(images_nchw, original), len(images_nchw), (fit.shape[0], size.height, size.width))


def _checked(made: Tensor, n: int, shape: tuple[int, ...]) -> Tensor:
    if made.dtype != torch.uint8 or tuple(made.shape) != (n, *shape):
        raise TypeError(f"fit gave {made.dtype} {tuple(made.shape)}, expected uint8 N×{shape}")
    return made


def _in_order(
    work: Callable[[A], B], items: Sequence[A], threads: int, *, ahead: int = _IN_FLIGHT
) -> Generator[B, None, None]:
    """Results in the order of ``items``, a few for each thread ``ahead``: memory is bounded."""
    window: deque[Future[B]] = deque()
    with pool_of(threads, "decode") as pool:
        try:
            for item in items:
                window.append(pool.submit(work, item))
                if len(window) >= ahead * threads:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()


def _from_arrays(items: Sequence[Item], fit: Fit, progress: Progress) -> Pixels:
    sources = [item.source for item in items if isinstance(item.source, PixelRow)]
    arrays = {id(source.array): source.array for source in sources}
    of_array = np.array([id(source.array) for source in sources])
    row_of = np.array([source.row for source in sources])
    (first, *others) = arrays.values()
    leaves = not others and _leaves(fit, first)
    storage = _whole(first) if leaves else torch.empty((len(items), *fit.shape), dtype=torch.uint8)
    digests, sizes = np.empty((len(items), DIGEST_BYTES), np.uint8), np.empty((len(items), 2), np.int64)
    refused: dict[int, str] = {}
    for name, array in arrays.items():
        places = (of_array == name).nonzero()[0]
        if not leaves:
            refused |= _fill(storage, places, array, row_of[places], fit, progress)
        digests[places], sizes[places] = row_digests(array, row_of[places]), array.shape[1:3]
    kept = np.delete(np.arange(len(items)), list(refused))
    entries = [Entry(id=item.id, status="kept") for item in items]
    for place, reason in refused.items():
        entries[place] = Entry(id=items[place].id, status="rejected", reason=reason)
    return Pixels(
        storage=storage,
        rows=torch.from_numpy(row_of[kept] if leaves else kept),
        items=tuple(items[place] for place in kept.tolist()),
        digests=torch.from_numpy(digests[kept]),
        sizes=torch.from_numpy(sizes[kept]),
        entries=tuple(entries),
    )


def _whole(array: NDArray[np.uint8]) -> Tensor:
    """The array itself as storage; torch warns of memory that cannot be written to."""
    return _as_nchw(array if array.flags.writeable else array.copy()).contiguous()


def _leaves(fit: Fit, array: NDArray[np.uint8]) -> bool:
    """Whether fitting does nothing to such images."""
    one = _as_nchw(array[:1].copy()).contiguous()
    try:
        return _fitted(fit, one).data_ptr() == one.data_ptr()
    except DataError:
        return False


def _fill(
    storage: Tensor,
    places: NDArray[np.int64],
    array: NDArray[np.uint8],
    rows: NDArray[np.int64],
    fit: Fit,
    progress: Progress,
) -> dict[int, str]:
    """Fit ``rows`` of one array into their ``places`` of ``storage``, a batch at a time.

    Gives the reason for each place whose image cannot be treated.
    """
    # NumPy gathers and scatters whole images; torch's indexing takes 20 times as long where the axes are permuted.
    target, refused = storage.numpy(), {}
    starts = range(0, len(places), _BATCH)
    for start in progress(starts, total=len(starts), words="fitting images"):
        batch = places[start : start + _BATCH]
        images = _as_nchw(array[rows[start : start + _BATCH]])
        try:
            target[batch] = _fitted(fit, images).numpy()
        except DataError:  # at least one of them: each by itself
            for place, image in zip(batch.tolist(), images, strict=True):
                try:
                    target[place] = _fitted(fit, image[None]).numpy()[0]
                except DataError as error:
                    refused[place] = error.message
    return refused


def _as_nchw(array: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2)
