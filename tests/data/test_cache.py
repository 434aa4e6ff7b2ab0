"""The cache: everything decoded once, found again by content, and never wrong after damage."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.crops import Crop, image, save, values
from torch import Tensor

from visto import files, native
from visto.data import cache as cache_module
from visto.data.cache import materialise
from visto.data.dataset import Item, content_digest
from visto.data.decode import Decoded, decode
from visto.data.store import Record, Store
from visto.data.stored import cache_summary, clear_cache
from visto.types import Size


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by one entry for each image that is decoded."""
    calls: list[int] = []

    def counting(content: bytes, *, at_least: Size | None, limit: int) -> Decoded:
        calls.append(len(content))
        return decode(content, at_least=at_least, limit=limit)

    monkeypatch.setattr(cache_module, "decode", counting)
    yield calls


def test_decoded_once_and_found_again(tmp_path: Path, decoded: list[int]) -> None:
    items = save(tmp_path, [10, 20, 30])
    first = materialise(items, Crop(), threads=2)
    assert values(first) == [10, 20, 30] and len(decoded) == 3
    assert first.items == tuple(items) and first.sizes.tolist() == [[6, 5]] * 3
    assert first.digests.shape == (3, 16) and first.storage.shape[1:] == (3, 4, 4)
    assert isinstance(items[1].source, Path)
    assert first.digests[1].numpy().tobytes() == content_digest(items[1].source.read_bytes())
    assert [(entry.id, entry.status, entry.reason) for entry in first.entries] == [(i.id, "kept", "") for i in items]
    again = materialise(items[::-1], Crop(), threads=1)
    assert values(again) == [30, 20, 10] and len(decoded) == 3
    more = materialise([*items, *save(tmp_path, [40])], Crop(), threads=2)
    assert values(more) == [10, 20, 30, 40] and len(decoded) == 4


def test_known_by_content_not_by_name(tmp_path: Path, decoded: list[int]) -> None:
    items = save(tmp_path, [10])
    (tmp_path / "copy.png").write_bytes((tmp_path / "10.png").read_bytes())
    twice = materialise([*items, Item(id="copy.png", source=tmp_path / "copy.png")], Crop(), threads=1)
    assert values(twice) == [10, 10] and twice.rows.tolist() == [0, 0] and len(twice.storage) == 1
    image(99).save(tmp_path / "10.png")
    assert values(materialise(items, Crop(), threads=1)) == [99]
    seen = len(decoded)
    materialise(items, Crop(key='{"fit": "other"}'), threads=1)
    assert len(decoded) == seen + 1


def test_bad_files_are_rejected_and_the_rest_kept(tmp_path: Path) -> None:
    items = save(tmp_path, [10, 20])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes((tmp_path / "10.png").read_bytes()[:50])
    Image.fromarray(np.full((6, 5, 4), 255, np.uint8)).save(tmp_path / "alpha.png")
    Image.fromarray(np.zeros((6, 5, 4), np.uint8)).save(tmp_path / "clear.png")
    os.mkfifo(tmp_path / "pipe.png")
    names = ["empty.png", "gone.png", "alpha.png", "cut.png", "pipe.png", "clear.png"]
    listed = [items[0], *(Item(id=name, source=tmp_path / name) for name in names), items[1]]
    for _ in range(2):
        pixels = materialise(listed, Crop(), threads=2)
        assert [item.id for item in pixels.items] == ["10.png", "alpha.png", "clear.png", "20.png"]
        assert values(pixels) == [10, 255, 255, 20]
        found = {entry.id: (entry.status, entry.reason) for entry in pixels.entries}
        assert len(pixels.entries) == len(listed)
        assert found["empty.png"] == ("rejected", "an empty file")
        assert found["gone.png"] == ("rejected", "cannot be read: No such file or directory")
        assert found["pipe.png"] == ("rejected", "not a regular file")
        assert found["cut.png"][0] == "rejected" and "PNG" in found["cut.png"][1]
        assert found["clear.png"] == ("repaired", "transparency laid on white")
        assert found["alpha.png"] == ("kept", "")


def test_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    for items in ([], [Item(id="bad.png", source=tmp_path / "bad.png")]):
        pixels = materialise(items, Crop(), threads=2)
        assert len(pixels) == 0 and pixels.storage.shape == (0, 3, 4, 4)
        assert pixels.sizes.shape == (0, 2) and pixels.digests.shape == (0, 16) and pixels.rows.dtype == torch.int64


def test_the_limit(tmp_path: Path) -> None:
    entries = materialise(save(tmp_path, [10]), Crop(), threads=1, limit=29).entries
    assert entries[0].reason == "too large: 5×6 pixels"


def test_jpeg_is_scaled_while_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (800, 400), (90, 90, 90)).save(tmp_path / "a.jpg")
    seen = []

    class Recording(Crop):
        def __call__(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
            seen.append(tuple(images_nchw.shape))
            return super().__call__(images_nchw)

    fit = Recording(at_least=Size(height=50, width=50))
    pixels = materialise([Item(id="a.jpg", source=tmp_path / "a.jpg")], fit, threads=1)
    assert seen == [(1, 3, 50, 100)] and pixels.sizes.tolist() == [[400, 800]]


# --- damage


def folder_of_store() -> Path:
    (stored,) = cache_summary()
    return stored.folder


@pytest.mark.parametrize("name", ["pixels.bin", "index.bin", "notes.jsonl"])
@pytest.mark.parametrize("harm", ["cut", "empty", "zeros", "noise", "tail", "gone"])
def test_damage_is_noticed_and_mended(tmp_path: Path, name: str, harm: str, decoded: list[int]) -> None:
    items = save(tmp_path, [10, 20, 30, 40])
    Image.new("RGBA", (6, 6), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    items.append(Item(id="clear.png", source=tmp_path / "clear.png"))
    materialise(items, Crop(), threads=1)
    file = folder_of_store() / name
    content = file.read_bytes()
    half = len(content) // 2
    harmed = {
        "cut": content[: half + 1],
        "empty": b"",
        "zeros": content[:half] + bytes(len(content) - half),
        "noise": content[:half] + np.random.default_rng(0).bytes(len(content) - half),
        "tail": content + b"\x07" * 11,
        "gone": b"",
    }[harm]
    file.write_bytes(harmed)
    if harm == "gone":
        file.unlink()
    before = len(decoded)
    for _ in range(2):
        pixels = materialise(items, Crop(), threads=1)
        assert values(pixels) == [10, 20, 30, 40, 255]
        assert pixels.entries[4].reason == "transparency laid on white"
    mended = len(decoded)
    assert mended - before <= len(items)
    more = materialise([*items, *save(tmp_path, [50])], Crop(), threads=1)
    assert values(more) == [10, 20, 30, 40, 255, 50] and len(decoded) == mended + 1


def test_every_flipped_byte_of_the_pixels_is_noticed(tmp_path: Path, decoded: list[int]) -> None:
    items = save(tmp_path, [10, 20])
    materialise(items, Crop(), threads=1)
    file = folder_of_store() / "pixels.bin"
    content = bytearray(file.read_bytes())
    content[60] ^= 4
    file.write_bytes(content)
    assert values(materialise(items, Crop(), threads=1)) == [10, 20] and len(decoded) == 3


def test_swapped_records_are_noticed(tmp_path: Path) -> None:
    items = save(tmp_path, [10, 20])
    materialise(items, Crop(), threads=1)
    file = folder_of_store() / "pixels.bin"
    content = file.read_bytes()
    file.write_bytes(content[48:] + content[:48])
    assert values(materialise(items, Crop(), threads=1)) == [10, 20]


def test_what_another_reader_holds_stays_as_it_was(tmp_path: Path) -> None:
    items = save(tmp_path, [10, 20])
    held = materialise(items, Crop(), threads=1)
    materialise(save(tmp_path, [30, 40]), Crop(), threads=1)
    assert values(held) == [10, 20]
    clear_cache()
    assert values(materialise(save(tmp_path, [50, 60]), Crop(), threads=1)) == [50, 60]
    assert values(held) == [10, 20]


@pytest.mark.parametrize("read_bytes", [1, 100, 1 << 20])
def test_many_files_and_some_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    monkeypatch.setattr(cache_module, "_READ_BYTES", read_bytes)
    items = save(tmp_path, list(range(100)))
    for place in (0, 7, 8, 99):
        (tmp_path / items[place].id).unlink()
    (tmp_path / "50.png").write_bytes(b"no image")
    pixels = materialise(items, Crop(), threads=2)
    assert values(pixels) == [value for value in range(100) if value not in (0, 7, 8, 50, 99)]
    assert [entry.id for entry in pixels.entries] == [item.id for item in items]
    assert [k for k, entry in enumerate(pixels.entries) if entry.status == "rejected"] == [0, 7, 8, 50, 99]


def test_threads_append_at_once(tmp_path: Path) -> None:
    def record(value: int) -> Record:
        digest = content_digest(str(value).encode())
        return Record(digest=digest, height=4, width=4, notes=(), pixels=bytes([value]) * 48)

    with Store("threads", (3, 4, 4)) as store:
        together = [[record((first + k) % 200) for k in range(20)] for first in range(0, 200, 10)]  # each value twice
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store.append, together))
    with Store("threads", (3, 4, 4)) as store:
        lines = [store.find(record(value).digest) for value in range(200)]
        assert sorted(line.row for line in lines if line) == list(range(200)) and len(store.pixels()) == 200


def test_loops_are_built_for_many_images_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(native, "begin_building", begun.append)
    items = save(tmp_path, [10, 20])
    materialise(items, Crop(), threads=1)
    assert not begun
    monkeypatch.setattr(cache_module, "_WORTH_BUILDING", 2 * 48)
    materialise(items, Crop(), threads=1)
    assert begun == ["pixels"]


# --- several at once

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from crops import Crop, values
from visto.data.cache import materialise
from visto.data.dataset import Item
folder, start = Path(sys.argv[2]), int(sys.argv[3])
items = [Item(id=str(v), source=folder / f"{v}.png") for v in range(start, start + 120)]
for size in (1, 3, 10, 40, 120):
    assert values(materialise(items[:size], Crop(), threads=2)) == list(range(start, start + size))
"""


def test_two_processes_at_once(tmp_path: Path) -> None:
    save(tmp_path, list(range(180)))
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(tmp_path)]
    running = [subprocess.Popen([*command, start], stderr=subprocess.PIPE) for start in ("0", "60", "0")]
    errors = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors
    items = [Item(id=str(v), source=tmp_path / f"{v}.png") for v in range(180)]
    pixels = materialise(items, Crop(), threads=2)
    assert values(pixels) == list(range(180)) and len(pixels.storage) == 180


def test_two_threads_at_once(tmp_path: Path) -> None:
    items = save(tmp_path, list(range(40)))
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append(values(materialise(items, Crop(), threads=2)))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(40))] * 3


def test_many_batches_of_appending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_TOGETHER", 2)
    assert values(materialise(save(tmp_path, list(range(30))), Crop(), threads=3)) == list(range(30))


def test_an_interruption_keeps_the_cache_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_TOGETHER", 2)
    items = save(tmp_path, list(range(30)))

    class Stop(Exception):
        pass

    def stopping(items: Iterator[object], *, total: int, words: str) -> Iterator[object]:
        for k, item in enumerate(items):
            if k == 20:
                raise Stop
            yield item

    with pytest.raises(Stop):
        materialise(items, Crop(), threads=2, progress=stopping)  # type: ignore[arg-type]
    assert threading.active_count() < 10
    assert values(materialise(items, Crop(), threads=2)) == list(range(30))


# --- visto cache


def test_summary_and_clearing(tmp_path: Path, cache: Path) -> None:
    assert cache_summary() == () and clear_cache() == 0
    materialise(save(tmp_path, [10, 20]), Crop(), threads=1)
    (stored,) = cache_summary()
    assert stored.images == 2 and stored.bytes > 2 * 48
    assert stored.key["fit"] == '{"fit": "crop"}' and stored.to_json()["images"] == 2
    (cache / "mine.txt").write_text("x")
    (stored.folder / "mine.txt").write_text("x")
    assert clear_cache() == stored.bytes
    assert cache_summary() == () and (cache / "mine.txt").exists() and (stored.folder / "mine.txt").exists()


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert files.cache_folder() == Path(os.environ["VISTO_CACHE"])
    monkeypatch.delenv("VISTO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert files.cache_folder() == Path("/x/visto")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert files.cache_folder() == Path("/h/.cache/visto")


def test_pixels_may_be_used_after_the_files_are_gone(tmp_path: Path) -> None:
    pixels = materialise(save(tmp_path, [10]), Crop(), threads=1)
    file = io.BytesIO()
    torch.save(pixels.storage[pixels.rows], file)
    clear_cache()
    assert values(pixels) == [10]
