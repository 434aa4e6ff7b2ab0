"""Whether a GIF or WebP holds more than one picture: read from its blocks, nothing is decoded."""

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

MOVING_SUFFIXES = frozenset([".gif", ".webp"])  # may move; what may not, or is damaged, is taken as a still image


def moves(path: Path) -> bool:
    """Whether the file is a GIF or WebP of two pictures or more; False for all else, and for what cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return False
            head = file.read(12)
            if head[:4] == b"GIF8":
                return _gif_pictures(file) > 1
            return head[:4] == b"RIFF" and head[8:] == b"WEBP" and _webp_pictures(file) > 1
    except (
        OSError,
        ValueError,
        struct.error,
        IndexError,
    ):  # ValueError: a NUL in the path; the last two: it ends early
        return False


def _gif_pictures(file: BinaryIO) -> int:
    """1 or 2, or 0 for none."""
    found = 0
    file.seek(10)
    _skip_colours(file, file.read(1)[0], 2)
    while found < 2 and (block := file.read(1)):
        if block == b"\x21":  # an extension: a comment, the loop, a delay
            file.seek(1, os.SEEK_CUR)
        elif block == b"\x2c":
            flags = file.read(9)[8]
            _skip_colours(file, flags, 1)
            found += 1
        else:
            break
        while size := file.read(1)[0]:
            file.seek(size, os.SEEK_CUR)
    return found


def _skip_colours(file: BinaryIO, flags: int, then: int) -> None:
    """Past a table of colours, where there is one, and ``then`` bytes more."""
    file.seek((3 << (flags & 7) + 1 if flags & 0x80 else 0) + then, os.SEEK_CUR)


def _webp_pictures(file: BinaryIO) -> int:
    """1 or 2; 0 where it is no animation."""
    found = 0
    while found < 2 and len(chunk := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", chunk)
        found += kind == b"ANMF"
        file.seek(length + length % 2, os.SEEK_CUR)
    return found
