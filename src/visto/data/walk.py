"""Every file below a folder, in one order on every machine: the images, and the reason why the rest is none."""

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from visto.data.ledger import Entry
from visto.errors import DataError

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".pnm",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pfm",
    ]
)
_NUMBER = re.compile("([0-9]+)")
SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})


@dataclass(frozen=True, slots=True)
class Found:
    """An image, or what else is asked for, by its name: ``id`` is its POSIX path below the root, printable as UTF-8."""

    id: str
    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.id.split("/"))


@dataclass(slots=True)
class Walked:
    """What a walk met: images, the ids of all folders (ending in ``/``), and what was rejected with the reason."""

    images: list[Found] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    rejected: list[Entry] = field(default_factory=list)


def natural(text: str) -> tuple[object, ...]:
    """A sort key that counts: ``img2`` before ``img10``, upper and lower case together.

    >>> sorted(["10", "9", "b", "A"], key=natural)
    ['9', '10', 'A', 'b']
    """
    parts = _NUMBER.split(text.casefold())
    # Odd places hold the digits; (length, digits) compares as the number does, without making a huge one.
    for place in range(1, len(parts), 2):
        digits = parts[place].lstrip("0")
        parts[place] = (len(digits), digits)
    return (parts, text)


def readable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become ``\\\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def walk(root: Path, *, also: Collection[str] = ()) -> Walked:
    """Walk ``root``, following links but entering no folder twice. Raises DataError where it cannot be listed.

    Files whose names end in one of ``also`` (lower case) are taken like images.
    """
    walked, suffixes = Walked(), IMAGE_SUFFIXES.union(also)
    try:
        status = root.stat()
        entries = _listed(root)
    except OSError as error:
        raise DataError(f"{root} cannot be read: {os.strerror(error.errno or errno.EIO)}") from error
    # Folders still to enter, last first: a deep tree must not meet Python's limit of nested calls.
    seen = {(status.st_dev, status.st_ino): "./"}
    pending: list[Iterator[os.DirEntry[str]]] = [iter(entries)]
    prefixes = [""]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            prefixes.pop()
            continue
        id = prefixes[-1] + readable(entry.name)
        reason, below = _judge(entry, id, seen, walked, suffixes)
        if reason:
            walked.rejected.append(Entry(id=id, status="rejected", reason=reason))
        if below is not None:
            walked.folders.append(id + "/")
            pending.append(iter(below))
            prefixes.append(id + "/")
    return walked


def _listed(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: natural(entry.name))


def _judge(
    entry: os.DirEntry[str],
    id: str,
    seen: dict[tuple[int, int], str],
    walked: Walked,
    suffixes: Collection[str],
) -> tuple[str, list[os.DirEntry[str]] | None]:
    """Put an image into ``walked``; else the reason why it is none, and for a folder what it holds."""
    if entry.name.startswith(".") or entry.name.casefold() in SYSTEM_NAMES:
        return "system file", None
    suffix = os.path.splitext(entry.name)[1].lower()
    # the folder itself says that it is a file: nearly all are, and need not be asked one by one
    if suffix in suffixes and entry.is_file(follow_symlinks=False) and os.access(entry.path, os.R_OK):
        walked.images.append(Found(id, Path(entry.path)))
        return "", None
    try:
        mode = entry.stat().st_mode
        if stat.S_ISDIR(mode):
            return _enter(entry, id, seen)
    except OSError as error:
        return _words(error, is_link=entry.is_symlink()), None
    if not stat.S_ISREG(mode):
        return f"not a regular file ({_KINDS.get(stat.S_IFMT(mode), 'unknown')})", None
    if suffix not in suffixes:
        return f"not an image by its name ({suffix or 'no extension'})", None
    if not os.access(entry.path, os.R_OK):
        return f"cannot be read: {os.strerror(errno.EACCES)}", None
    walked.images.append(Found(id, Path(entry.path)))
    return "", None


_KINDS = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def _enter(
    entry: os.DirEntry[str], id: str, seen: dict[tuple[int, int], str]
) -> tuple[str, list[os.DirEntry[str]] | None]:
    status = entry.stat()
    key = (status.st_dev, status.st_ino)
    if key in seen:
        loop = (id + "/").startswith(seen[key]) or seen[key] == "./"
        return ("a link loop" if loop else f"the same folder as {seen[key]}, which is read already"), None
    seen[key] = id + "/"
    return "", _listed(entry.path)


def _words(error: OSError, *, is_link: bool) -> str:
    if error.errno == errno.ELOOP:
        return "a link loop"
    if error.errno == errno.ENOENT and is_link:
        return "a broken link"
    return f"cannot be read: {os.strerror(error.errno or errno.EIO)}"


def nfc(name: str) -> str:
    """One spelling for one name: macOS writes é as two characters, others as one."""
    return unicodedata.normalize("NFC", name)
