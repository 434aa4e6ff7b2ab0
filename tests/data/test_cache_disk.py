"""The cache on a disk that is full, slow to write, or not to be written to: an error, and nothing half-written."""

import errno
import itertools
import os
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.data.crops import Crop, save, values

from visto.data.cache import materialise
from visto.data.stored import cache_summary, clear_cache
from visto.errors import ResourceError


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = save(tmp_path, [10, 20])
    materialise(items[:1], Crop(), threads=1)
    calls = []

    def full(handle: int, parts: Sequence[memoryview], start: int) -> int:
        calls.append(start)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwrite(handle, parts[0][:7], start)  # half a record, then the end

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(ResourceError, match="No space left") as caught:
        materialise(items, Crop(), threads=1)
    assert "VISTO_CACHE" in caught.value.hint
    monkeypatch.undo()
    os.environ["VISTO_CACHE"] = str(cache_folder_before(caught.value.message))
    assert values(materialise(items, Crop(), threads=1)) == [10, 20]


def test_a_system_that_writes_a_few_bytes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = save(tmp_path, list(range(0, 200, 10)))
    sizes = itertools.cycle([1, 50, 5000])

    def some(handle: int, parts: Sequence[memoryview], start: int) -> int:
        return os.pwrite(handle, b"".join(parts)[: next(sizes)], start)

    monkeypatch.setattr(os, "pwritev", some)
    assert values(materialise(items, Crop(), threads=1)) == list(range(0, 200, 10))
    assert values(materialise(items, Crop(), threads=1)) == list(range(0, 200, 10))


def cache_folder_before(message: str) -> Path:
    """The cache that the message names: undoing a patch undoes the fixture's too."""
    return Path(message.split("the cache ")[1].split(":")[0]).parent.parent


def test_a_file_size_limit_of_the_system(tmp_path: Path) -> None:
    items = save(tmp_path, [10, 20, 30])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(ResourceError):
            materialise(items, Crop(), threads=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert values(materialise(items, Crop(), threads=1)) == [10, 20, 30]


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ResourceError, match="cannot write to the cache") as caught:
        materialise(save(tmp_path, [10]), Crop(), threads=1)
    assert "VISTO_CACHE" in caught.value.hint
    assert cache_summary() == () and clear_cache() == 0


def test_a_cache_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = save(tmp_path, [10, 20])
    materialise(items[:1], Crop(), threads=1)
    opened = os.open

    def read_only(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    assert values(materialise(items[:1], Crop(), threads=1)) == [10]
    with pytest.raises(ResourceError, match="Read-only"):
        materialise(items, Crop(), threads=1)
