"""Decoded images on disk: one folder for each way of fitting, append-only, keyed by the content of the file.

``pixels.bin`` holds records of one size, ``index.bin`` a line of 36 bytes for each of them, ``notes.jsonl`` what was
repaired where anything was. A small image uses the beginning of its record; the rest is a hole, which takes no disk.
Everything in the index carries a checksum. Whatever a crash, a full disk or a bad sector leaves, a record whose
checksums disagree is not there, and is decoded and appended anew:

- pixels and notes are written before the index line that names them, under a lock of the system;
- records have a fixed place, so that damage in the middle moves nothing else, and no place is used twice;
- files stay open: who clears the cache takes nothing from a process that reads it.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import mmap
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from visto.data.dataset import DIGEST_BYTES
from visto.errors import ResourceError
from visto.files import CACHE_HINT, cache_folder, write_json
from visto.types import Size

_LINE = struct.Struct(f"<{DIGEST_BYTES}sIIII")  # digest, height, width, checksum of pixels, number of notes
_CHECK = struct.Struct("<I")
INDEX_LINE_BYTES = _LINE.size + _CHECK.size
_PARTS_AT_ONCE = 1024  # more are refused
_MAKING = threading.Lock()  # two threads must not write one key.json at once
FILES = ("pixels.bin", "index.bin", "notes.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decoded image: the digest of its content, its original size, its notes, and the pixels as bytes, H×W×C.

    Its checksum is taken by the thread that makes it: the one that writes has enough to do.
    """

    digest: bytes
    height: int
    width: int
    notes: tuple[str, ...]
    pixels: bytes | memoryview
    checksum: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checksum", _checksum(self.digest, self.pixels))


@dataclass(frozen=True, slots=True)
class Line:
    """What the index says of one record: where its pixels are, and what their checksum is."""

    row: int
    height: int
    width: int
    checksum: int
    notes: tuple[str, ...]


def folders() -> Path:
    """Where the folders of all fits lie."""
    return cache_folder() / "pixels"


class Store:
    """The records of one fit. Several processes and threads may each hold a Store of the same folder.

    Several threads may call ``find`` and ``append``: to write takes as long as to decode, where memory is new to the
    system.
    """

    def __init__(
        self, key: str, shape: tuple[int, int, int], stored_size: Callable[[Size], Size] | None = None
    ) -> None:
        self.shape = shape
        self.record_bytes = math.prod(shape)
        self._stored_size, self._sizes = stored_size, dict[tuple[int, int], tuple[int, int]]()
        self.folder = folders() / hashlib.sha256(key.encode()).hexdigest()[:24]
        self._lines: dict[bytes, Line] = {}
        self._trusted: set[int] = set()
        self._lines_read = 0
        self._why_read_only = ""
        self._appending = threading.Lock()  # that of the system is between processes
        self._closing = contextlib.ExitStack()
        try:
            with _MAKING:
                self.folder.mkdir(parents=True, exist_ok=True)
                if not (self.folder / "key.json").exists():
                    write_json(self.folder / "key.json", {"key": key, "shape": list(shape)})
        except OSError as error:
            self._why_read_only = os.strerror(error.errno) if error.errno else str(error)
        except ResourceError as error:
            self._why_read_only = error.message
        self._pixels, self._index, self._notes = (self._handle(name) for name in FILES)
        self._refresh()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def stored_size(self, height: int, width: int) -> tuple[int, int]:
        """How many rows and columns the record of an image has that was once so large."""
        if self._stored_size is None:
            return self.shape[1], self.shape[2]
        if (found := self._sizes.get((height, width))) is None:
            size = self._stored_size(Size(height=height, width=width))
            found = self._sizes[height, width] = size.height, size.width
        return found

    def _bytes_of(self, record: Record | Line) -> int:
        """How many are in use, from where it begins."""
        return self.shape[0] * math.prod(self.stored_size(record.height, record.width))

    def find(self, digest: bytes) -> Line | None:
        """The line of a content whose pixels are whole; None where it has to be decoded.

        Once for each record and Store: the checksum runs at 2.7 GB/s on one core, and the page has to be read anyway.
        """
        line = self._lines.get(digest)
        if line is None or line.row in self._trusted:
            return line
        pixels = os.pread(self._pixels, self._bytes_of(line), line.row * self.record_bytes)
        if len(pixels) != self._bytes_of(line) or _checksum(digest, pixels) != line.checksum:
            return None
        self._trusted.add(line.row)
        return line

    def need_writable(self) -> None:
        """Raises ResourceError where nothing can be added."""
        if self._why_read_only:
            raise ResourceError(f"cannot write to the cache {self.folder}: {self._why_read_only}", hint=CACHE_HINT)

    def append(self, records: Sequence[Record]) -> None:
        """Add the records whose content is not there yet (another process may have been faster).

        Raises ResourceError where it cannot be written; what was there before is then as it was.
        """
        self.need_writable()
        try:
            with self._appending, self._locked():
                self._refresh()
                new = {record.digest: record for record in records if self.find(record.digest) is None}
                rows = range(self._lines_read, self._lines_read + len(new))
                self._write(list(new.values()))
                self._refresh()
                self._trusted.update(rows)  # written just now
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ResourceError(f"cannot write to the cache {self.folder}: {reason}", hint=CACHE_HINT) from error

    def pixels(self) -> Tensor:
        """All records, uint8 M×C×H×W, mapped from the disk: nothing is read before it is looked at.

        The colours of a pixel lie together, as codecs give them and resizing and convolutions want them.
        """
        rows = min(self._lines_read, os.fstat(self._pixels).st_size // self.record_bytes) if self._lines_read else 0
        if not rows:
            return torch.empty((0, *self.shape), dtype=torch.uint8)
        # Private copies of written pages: torch warns of memory that cannot be written to.
        mapped = mmap.mmap(self._pixels, rows * self.record_bytes, access=mmap.ACCESS_COPY)
        channels, height, width = self.shape
        return torch.frombuffer(mapped, dtype=torch.uint8).view(rows, height, width, channels).permute(0, 3, 1, 2)

    def _handle(self, name: str) -> int:
        """An open file of the folder: to read and write, else to read, else an empty one."""
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | flags, 0o644)
        except OSError as error:
            self._why_read_only = self._why_read_only or os.strerror(error.errno or errno.EIO)
            try:
                handle = os.open(self.folder / name, os.O_RDONLY | flags)
            except OSError:
                handle = os.open(os.devnull, os.O_RDONLY)
        self._closing.callback(os.close, handle)
        return handle

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._index, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._index, fcntl.LOCK_UN)

    def _refresh(self) -> None:
        """Read the index lines that have come since the last look."""
        start = self._lines_read * INDEX_LINE_BYTES
        content = _read_from(self._index, start)
        notes: dict[bytes, tuple[str, ...]] | None = None
        for at in range(0, len(content) - INDEX_LINE_BYTES + 1, INDEX_LINE_BYTES):
            row, self._lines_read = self._lines_read, self._lines_read + 1
            line = content[at : at + _LINE.size]
            if _CHECK.unpack_from(content, at + _LINE.size)[0] != zlib.crc32(line):
                continue
            digest, height, width, checksum, count = _LINE.unpack(line)
            if count and notes is None:
                notes = _read_notes(_read_from(self._notes, 0))
            said = (notes or {}).get(digest, ()) if count else ()
            if len(said) == count:
                self._lines[digest] = Line(row, height, width, checksum, said)

    def _write(self, records: Sequence[Record]) -> None:
        """Pixels, then notes, then the index, each after the last line that is whole."""
        rows = self._lines_read
        notes_end = os.fstat(self._notes).st_size
        lines, notes = [], []
        for record in records:
            line = _LINE.pack(record.digest, record.height, record.width, record.checksum, len(record.notes))
            lines.append(line + _CHECK.pack(zlib.crc32(line)))
            if record.notes:
                notes.append(json.dumps({"digest": record.digest.hex(), "notes": record.notes}) + "\n")
        try:
            # Whatever lies beyond belongs to no line; where pixels were lost, a hole keeps every place its own.
            _end(self._pixels, rows * self.record_bytes)
            for start, parts in self._runs(records):
                _write_at(self._pixels, parts, (rows + start) * self.record_bytes)
            _end(self._pixels, (rows + len(records)) * self.record_bytes)
            if notes:  # the first newline ends what a crash may have left
                _write_at(self._notes, [("\n" + "".join(notes)).encode()], notes_end)
            _end(self._index, rows * INDEX_LINE_BYTES)
            _write_at(self._index, [b"".join(lines)], rows * INDEX_LINE_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._index, rows * INDEX_LINE_BYTES)
                os.ftruncate(self._pixels, rows * self.record_bytes)
                os.ftruncate(self._notes, notes_end)
            raise

    def _runs(self, records: Sequence[Record]) -> Iterator[tuple[int, list[bytes | memoryview]]]:
        """Pixels that follow each other in the file, and the number of the first record: only the last is small."""
        start, parts = 0, list[bytes | memoryview]()
        for number, record in enumerate(records):
            parts.append(record.pixels)
            if self._bytes_of(record) < self.record_bytes or number == len(records) - 1:
                yield start, parts
                start, parts = number + 1, []


def _checksum(digest: bytes, pixels: bytes | memoryview) -> int:
    """CRC-32 of the digest and the pixels: right pixels in the wrong place are wrong."""
    return zlib.crc32(pixels, zlib.crc32(digest))


def _read_from(handle: int, start: int) -> bytes:
    size = os.fstat(handle).st_size
    parts = []
    while start < size and (part := os.pread(handle, size - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _end(handle: int, size: int) -> None:
    """Make it so long. Not where it is: a file that was cut to nothing, ext4 writes to the disk when it is closed."""
    if os.fstat(handle).st_size != size:
        os.ftruncate(handle, size)


def _write_at(handle: int, parts: Sequence[bytes | memoryview], start: int) -> None:
    """One behind the other. The system joins them: a copy less than by us."""
    for first in range(0, len(parts), _PARTS_AT_ONCE):
        left = deque(memoryview(part) for part in parts[first : first + _PARTS_AT_ONCE])
        while left:
            written = os.pwritev(handle, left, start)
            start += written
            while left and written >= len(left[0]):
                written -= len(left.popleft())
            if written:
                left[0] = left[0][written:]


def _read_notes(content: bytes) -> dict[bytes, tuple[str, ...]]:
    """Notes by digest; a line that is not whole says nothing."""
    notes: dict[bytes, tuple[str, ...]] = {}
    for line in content.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(line)
            notes[bytes.fromhex(said["digest"])] = tuple(str(note) for note in said["notes"])
    return notes
