"""The one way anything is written: whole, or not at all.

A temporary file or folder beside the target, flush, fsync, rename, fsync of the parent. A full disk, a ``kill -9``
or a power cut leaves either the old content or the new, never half of it.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from visto.errors import ResourceError, UsageError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def as_resource_error(error: OSError, path: Path) -> ResourceError:
    """Say a failed write in the user's words."""
    if error.errno in _NO_ROOM:
        return ResourceError(f"no room left while writing {path}", hint="free some disk space, then run it again")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ResourceError(f"cannot write {path}: {reason}", hint="choose another place with -o, or mend its permissions")


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically. Raises ResourceError; the old file then stays as it was."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        raise as_resource_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):  # gone where all went well
            part.unlink()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document atomically: sorted keys, two spaces, UTF-8, no NaN."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that becomes ``path`` when the block ends without an error.

    Raises UsageError where ``path`` exists already (what is written is immutable), ResourceError where it cannot
    be written; nothing is left behind then.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists already", hint="choose another name with -o, or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise as_resource_error(error, path) from error
    try:
        yield part
        for file in sorted(part.iterdir()):
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        part.chmod(0o755)  # mkdtemp makes 0700
        sync_folder(part)
        os.rename(part, path)
        sync_folder(path.parent)
    except OSError as error:
        raise as_resource_error(error, path) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path, *, busy: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` (made where missing) for the block; the system frees it if we die.

    Raises ResourceError with the message ``busy`` where another process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise as_resource_error(error, path) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResourceError(busy, hint="wait for it to end, or choose another name with -o") from error
        yield
