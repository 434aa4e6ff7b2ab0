"""Plain files, read once and never beyond what they may be: no link, no pipe, nothing that grows while it is read."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from visto.errors import ModelError, ResourceError

AGAIN = "get the bundle again, or train it again"


def sha256(content: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(content).hexdigest()


def read_plain(path: Path, *, limit: int) -> bytes:
    """The whole file, read once. Raises ModelError where it is a link or larger than ``limit`` bytes, ResourceError."""
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        # one byte more than expected shows a file that grows; never more than that into memory
        content = file.read(size + 1) if size <= limit else b""
    if max(size, len(content)) > limit:
        raise ModelError(f"{path} is larger than it should be", expected=f"{limit} bytes at most", hint=AGAIN)
    return content


def sha256_plain(path: Path) -> str:
    """Hex SHA-256 of a file of any size. Raises ModelError where it is a link, ResourceError."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError) -> ResourceError:
    """Say a failed read in the user's words."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ResourceError(f"cannot read {path}: {reason}", hint="mend its permissions or its disk")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with open(path, "rb", opener=_handle) as file:
            yield file
    except OSError as error:
        if error.errno == errno.ELOOP:  # what O_NOFOLLOW says
            raise ModelError(f"{path} is a link", expected="a plain file", hint=AGAIN) from error
        raise unreadable(path, error) from error


def _handle(path: str, flags: int) -> int:
    # no link, even if one took the file's place since it was listed; no waiting for the other end of a pipe
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ModelError(f"{path} is not a plain file", hint=AGAIN)
    return handle
