"""What the cache of decoded images holds, and clearing it: for ``visto cache``."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visto.data.store import FILES, INDEX_LINE_BYTES, folders
from visto.errors import ResourceError
from visto.files import as_resource_error

_NAMES = (*FILES, "key.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One way of fitting: its folder, the key it was made by, how many images it holds, and their bytes on disk."""

    folder: Path
    key: Mapping[str, object]
    images: int
    bytes: int

    def to_json(self) -> dict[str, object]:
        return {"folder": str(self.folder), "key": dict(self.key), "images": self.images, "bytes": self.bytes}


def cache_summary() -> tuple[Stored, ...]:
    """Every fit in the cache, the largest first."""
    found = [_look(folder) for folder in _fits()]
    return tuple(sorted(found, key=lambda stored: (-stored.bytes, stored.folder.name)))


def clear_cache() -> int:
    """Remove every fit, and nothing else that lies in the folder; the bytes it frees.

    Who reads it at this moment keeps what it has open. Raises ResourceError where a file cannot be removed.
    """
    freed = 0
    for folder in _fits():
        freed += _look(folder).bytes
        try:
            for name in _NAMES:
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a foreign file in it: not ours to remove
                folder.rmdir()
        except OSError as error:
            raise as_resource_error(error, folder) from error
    return freed


def _fits() -> list[Path]:
    try:
        return sorted(path for path in folders().iterdir() if (path / "index.bin").is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ResourceError(f"the cache {folders()} cannot be read: {error.strerror}") from error


def _on_disk(path: Path) -> int:
    """The bytes that a file takes; holes take none."""
    status = path.stat()
    return min(status.st_size, status.st_blocks * 512)


def _look(folder: Path) -> Stored:
    sizes = {name: _on_disk(folder / name) for name in _NAMES if (folder / name).is_file()}
    key: Mapping[str, object] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        read = json.loads(json.loads((folder / "key.json").read_text("utf-8"))["key"])
        key = read if isinstance(read, dict) else {"key": read}
    lines = (folder / "index.bin").stat().st_size // INDEX_LINE_BYTES
    return Stored(folder=folder, key=key, images=lines, bytes=sum(sizes.values()))
