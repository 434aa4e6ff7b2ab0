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
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from visto.errors import ResourceError, UsageError

_NOTE_EVERY = 2.0  # seconds: what a kill costs a growing file
CACHE_HINT = "name a writable folder with some room in VISTO_CACHE, or make room with visto cache --clear"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cache_folder() -> Path:
    """``$VISTO_CACHE``, else ``$XDG_CACHE_HOME/visto``, else ``~/.cache/visto``. Raises ResourceError without home."""
    if place := os.environ.get("VISTO_CACHE"):
        return Path(place)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "visto"
    try:
        return Path.home() / ".cache" / "visto"
    except RuntimeError as error:
        raise ResourceError("no home folder for the cache of decoded images", hint=CACHE_HINT) from error


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


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a small file of this mode that does not exist yet. Raises UsageError where it does, ResourceError.

    Not by way of a temporary file: only the system's own look, at the moment of making it, never overwrites anything.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", hint="choose another name with -o, or remove it first") from error
    except OSError as error:
        raise as_resource_error(error, path) from error
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        sync_folder(path.parent)
    except OSError as error:
        path.unlink()
        raise as_resource_error(error, path) from error


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


class Growing:
    """A file that grows block by block, and is found again after a kill with all blocks that were whole.

    ``key`` says what the content depends on; a file of another key is begun anew. ``blocks`` counts what is there.
    Raises ResourceError where it cannot be written.
    """

    def __init__(self, path: Path, *, key: str) -> None:
        self.path = path
        self._journal = path.with_name(f"{path.name}.json")
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self.blocks, self._bytes = self._found()
        self._noted = time.monotonic()
        try:
            with path.open("ab") as file:
                file.truncate(self._bytes)
        except OSError as error:
            raise as_resource_error(error, path) from error

    def _found(self) -> tuple[int, int]:
        try:
            known = json.loads(self._journal.read_text(encoding="utf-8"))
            whole = known["key"] == self._key and self.path.stat().st_size >= known["bytes"]
            return (int(known["blocks"]), int(known["bytes"])) if whole else (0, 0)
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def append(self, content: bytes) -> None:
        """Add one block. It is sure to be found again once ``note`` was called, which happens every few seconds."""
        try:
            with self.path.open("ab") as file:
                file.write(content)
        except OSError as error:
            raise as_resource_error(error, self.path) from error
        self.blocks, self._bytes = self.blocks + 1, self._bytes + len(content)
        if time.monotonic() - self._noted > _NOTE_EVERY:
            self.note()

    def note(self) -> None:
        """Bring all blocks to the disk, then say how many there are."""
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise as_resource_error(error, self.path) from error
        write_json(self._journal, {"key": self._key, "blocks": self.blocks, "bytes": self._bytes})
        self._noted = time.monotonic()
