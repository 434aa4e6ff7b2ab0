"""The size of an image file from its header: as it lies in the file, and upright after EXIF. No pixel is decoded.

What a header here does not settle (a rare kind, a slip in the file) the one decoder decides, so that nothing is
refused that can be decoded, and nothing taken that cannot.
"""

import os
import re
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from visto.data import exif
from visto.data.content import read_content
from visto.data.decode import decode
from visto.errors import DataError
from visto.threads import pool_of
from visto.types import Size

_THREADS = 8  # they wait for the disk more than they compute
_TOGETHER = 64
_BEGINNING = 1 << 16
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # tables and reserved markers lie between
_PNM = re.compile(rb"P[1-6f](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")  # \s+ inside would take exponential time


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """``size`` of the upright image, ``raw`` of the pixels as they lie in the file, EXIF ``orientation`` 1 to 8."""

    size: Size
    raw: Size
    orientation: int


def read_headers(paths: Sequence[Path]) -> list[Header | DataError]:
    """The header of each file, or why it has none."""
    if len(paths) <= _TOGETHER:
        return [_header_or_error(path) for path in paths]
    parts = [paths[start : start + _TOGETHER] for start in range(0, len(paths), _TOGETHER)]
    with pool_of(min(_THREADS, len(parts)), "headers") as pool:
        return [found for part in pool.map(lambda some: [_header_or_error(p) for p in some], parts) for found in part]


def _header_or_error(path: Path) -> Header | DataError:
    try:
        return read_header(path)
    except DataError as error:
        return error


def read_header(path: Path) -> Header:
    """Raises DataError for what is no regular file, cannot be read, or is not an image that can be decoded."""
    try:
        found = _quick(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError("no such file") from error
    except OSError as error:
        raise DataError(f"cannot be read: {os.strerror(error.errno) if error.errno else error}") from error
    if found is None:
        size = decode(read_content(path)).original
        return Header(size=size, raw=size, orientation=exif.UPRIGHT)
    width, height, orientation = found
    raw = Size(height=height, width=width)
    turned = Size(height=width, width=height) if exif.swaps_axes(orientation) else raw
    return Header(size=turned, raw=raw, orientation=orientation)


def _quick(path: Path) -> tuple[int, int, int] | None:
    """Width, height and orientation; None where the decoder must look."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise DataError("not a regular file")
        magic = file.read(16)
        for start, parse in _PARSERS:
            if magic.startswith(start):
                file.seek(0)
                try:
                    found = parse(file)
                except (struct.error, IndexError):  # shorter than it says
                    return None
                return found if found and found[0] > 0 and found[1] > 0 else None
    return None


def _unpack(file: BinaryIO, layout: str, at: int | None = None) -> tuple[int, ...]:
    if at is not None:
        file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _jpeg(file: BinaryIO) -> tuple[int, int, int] | None:
    """The first frame's size and the first EXIF segment's orientation, in whichever order they come."""
    size: tuple[int, int] | None = None
    orientation: int | None = None
    file.seek(2)
    while True:
        fill, marker = _unpack(file, "BB")
        while marker == 0xFF:
            (marker,) = _unpack(file, "B")
        if fill != 0xFF or marker == 0xD9:
            return None
        if marker == 0xDA:  # the pixels begin
            return (*size, orientation or exif.UPRIGHT) if size else None
        (length,) = _unpack(file, ">H")
        after = file.tell() + length - 2
        if marker in _JPEG_FRAMES and size is None:
            _, height, width = _unpack(file, ">BHH")
            size = (width, height)
        elif marker == 0xE1 and orientation is None:
            block = file.read(length - 2)
            orientation = exif.orientation(block) if block.startswith(b"Exif\0\0") else None
        file.seek(after)


def _png(file: BinaryIO) -> tuple[int, int, int]:
    width, height = _unpack(file, ">II", 16)
    orientation, at = exif.UPRIGHT, 8
    while True:
        try:
            length, kind = _unpack(file, ">II", at)
        except struct.error:  # the file ends
            return width, height, orientation
        if kind == int.from_bytes(b"eXIf", "big"):
            orientation = exif.orientation(file.read(length))
        at += length + 12


def _webp(file: BinaryIO) -> tuple[int, int, int] | None:
    head = file.read(30)
    if head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF, exif.UPRIGHT
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, exif.UPRIGHT
    if head[12:16] != b"VP8X" or len(head) < 30:
        return None
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    has_exif, at = head[20] & 0x08, 12
    while has_exif:
        file.seek(at)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if kind == b"EXIF":
            return width, height, exif.orientation(file.read(length))
        if not kind:
            break
        at += 8 + length + length % 2
    return width, height, exif.UPRIGHT


def _gif(file: BinaryIO) -> tuple[int, int, int] | None:
    """The screen, enlarged where the first frame reaches past it."""
    content = file.read(_BEGINNING)
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while content[at] == 0x21:  # extensions
        at += 2
        while content[at]:
            at += content[at] + 1
        at += 1
    if content[at] != 0x2C:
        return None
    left, top, wide, high = struct.unpack_from("<HHHH", content, at + 1)
    return max(width, left + wide), max(height, top + high), exif.UPRIGHT


def _bmp(file: BinaryIO) -> tuple[int, int, int]:
    (kind,) = _unpack(file, "<I", 14)
    width, height = _unpack(file, "<HH" if kind == 12 else "<ii")
    return width, abs(height), exif.UPRIGHT  # a negative height: from top to bottom


def _tiff(file: BinaryIO) -> tuple[int, int, int] | None:
    order = "<" if file.read(2) == b"II" else ">"
    (at,) = _unpack(file, order + "I", 4)
    (count,) = _unpack(file, order + "H", at)
    tags: dict[int, int] = {}
    for _ in range(count):
        tag, kind, values = _unpack(file, order + "HHI")
        value = file.read(4)
        if kind in (3, 4) and values == 1:
            tags[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0]
    orientation = tags.get(274, exif.UPRIGHT)
    if 256 not in tags or 257 not in tags or not 1 <= orientation <= 8:
        return None
    return tags[256], tags[257], orientation


def _pnm(file: BinaryIO) -> tuple[int, int, int] | None:
    found = _PNM.match(file.read(_BEGINNING))
    return (int(found[1]), int(found[2]), exif.UPRIGHT) if found else None


_PARSERS: tuple[tuple[bytes, Callable[[BinaryIO], tuple[int, int, int] | None]], ...] = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"RIFF", _webp),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"P", _pnm),
)
