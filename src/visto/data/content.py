"""The bytes of one file, read without ever blocking on what is not a file."""

import codecs
import os
import stat
from pathlib import Path

from visto.errors import DataError

BYTE_LIMIT = 1 << 30
_PART = 1 << 20  # bytes


def read_content(path: Path) -> bytes:
    """The whole content. Raises DataError where it cannot be opened, is not a regular file, or is over 1 GiB.

    Non-blocking, and judged by the open handle: a FIFO that took the file's place since it was listed is refused,
    not waited for.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DataError("not a regular file")
            if status.st_size > BYTE_LIMIT:
                raise DataError(f"too large: a file of {status.st_size:,} bytes", expected=f"at most {BYTE_LIMIT:,}")
            content = os.read(handle, status.st_size + 1)
            return content if len(content) == status.st_size else content + _rest(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise DataError(f"cannot be read: {os.strerror(error.errno) if error.errno else error}") from error


def _rest(handle: int) -> bytes:
    """What is left to read, of a file that is not as long as it says or comes in parts."""
    parts = []
    while part := os.read(handle, _PART):
        parts.append(part)
    return b"".join(parts)


def read_text(file: Path) -> str:
    """The content of a UTF-8 file, without its mark. Raises DataError as ``read_content``, and for other bytes."""
    try:
        return read_content(file).removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except DataError as error:
        raise DataError(f"{file}: {error.message}", expected=error.expected) from error
