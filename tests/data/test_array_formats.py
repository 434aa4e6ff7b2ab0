"""The formats that hold many images in a file: IDX, CIFAR, MedMNIST's .npz, the embedded digits."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visto.data.cifar import read_cifar, recognises_cifar
from visto.data.dataset import Dataset, Item, PixelRow
from visto.data.digits import read_digits, recognises_digits
from visto.data.idx import read_idx, recognises_idx
from visto.data.npz import read_npz, recognises_npz
from visto.errors import DataError

RNG = np.random.default_rng(0)


def pixels(item: Item) -> NDArray[np.uint8]:
    assert isinstance(item.source, PixelRow)
    return item.source.pixels


def labels(data: Dataset) -> list[str]:
    return [data.classes[item.target.classes[0]] for item in data.items if item.target is not None]


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


IMAGES = RNG.integers(0, 256, (5, 4, 6), dtype=np.uint8)
LABELS = np.array([3, 1, 1, 10, 3], np.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("test", [True, False])
def test_idx(tmp_path: Path, suffix: str, separator: str, test: bool) -> None:
    pack = gzip.compress if suffix else bytes
    for stem in ("train", "t10k") if test else ("train",):
        (tmp_path / f"{stem}-images{separator}idx3-ubyte{suffix}").write_bytes(pack(idx(IMAGES)))
        (tmp_path / f"{stem}-labels{separator}idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS)))
    assert recognises_idx(tmp_path)
    data = read_idx(tmp_path)
    assert data.classes == ("1", "3", "10") and labels(data)[:5] == ["3", "1", "1", "10", "3"]
    assert data.declared == ({"train", "test"} if test else {"train"})
    assert data.items[1].id == "train:1" and data.items[1].split == "train"
    assert np.array_equal(pixels(data.items[1])[..., 0], IMAGES[1])


@pytest.mark.parametrize(
    ("images", "labelled", "words"),
    [
        (idx(IMAGES)[:-1], idx(LABELS), "119 bytes"),
        (idx(IMAGES) + b"x", idx(LABELS), "more bytes"),
        (idx(LABELS), idx(LABELS), "magic number"),
        (b"", idx(LABELS), "nothing"),
        (struct.pack(">IIII", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1), idx(LABELS), "less than"),
        (idx(IMAGES), idx(LABELS[:4]), "5 images but labels"),
        (gzip.compress(idx(IMAGES))[:-12], None, "truncated"),
        (b"not gzip at all", None, "truncated"),
        (idx(IMAGES), None, "only one of images and labels"),
    ],
)
def test_bad_idx(tmp_path: Path, images: bytes, labelled: bytes | None, words: str) -> None:
    zipped = labelled is None and words == "truncated"
    (tmp_path / f"train-images-idx3-ubyte{'.gz' if zipped else ''}").write_bytes(images)
    if labelled is not None or zipped:
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(labelled or idx(LABELS))
    with pytest.raises(DataError, match=words) as caught:
        read_idx(tmp_path)
    assert "magic" not in words or "magic" in str(caught.value)


def cifar_records(labels: NDArray[np.uint8], planes: NDArray[np.uint8]) -> bytes:
    return np.concatenate([labels.reshape(len(planes), -1), planes.reshape(len(planes), -1)], axis=1).tobytes()


def test_cifar_10(tmp_path: Path) -> None:
    planes = RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    for k in (1, 2, 3, 5):
        (tmp_path / f"data_batch_{k}.bin").write_bytes(cifar_records(np.array([0, 2, 1, 1], np.uint8), planes))
    (tmp_path / "test_batch.bin").write_bytes(cifar_records(np.array([2, 0, 0, 0], np.uint8), planes))
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\nbird\n\n")
    assert recognises_cifar(tmp_path)
    data = read_cifar(tmp_path)
    assert data.classes == ("plane", "car", "bird") and len(data) == 20
    assert [item.id for item in data.items][14:18] == ["train:14", "train:15", "test:0", "test:1"]
    assert labels(data)[:4] == ["plane", "bird", "car", "car"]
    assert np.array_equal(pixels(data.items[5]), planes[1].transpose(1, 2, 0))
    assert [entry.id for entry in data.ledger] == ["data_batch_4.bin"]


def test_cifar_100_takes_the_fine_label(tmp_path: Path) -> None:
    planes = RNG.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(cifar_records(np.array([[7, 0], [8, 1]], np.uint8), planes))
    (tmp_path / "fine_label_names.txt").write_text("apple\nfish\n")
    assert labels(read_cifar(tmp_path)) == ["apple", "fish"] * 2


@pytest.mark.parametrize(("content", "words"), [(b"x" * 3072, "3,072 bytes"), (b"", "0 bytes"), (b"\5" * 3073, "5")])
def test_bad_cifar(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "batches.meta.txt").write_text("a\nb\n")
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_cifar(tmp_path)


def archive(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (3, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.array([[0], [1], [0]])
    arrays.update(changes)
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("colour", [True, False])
def test_npz(tmp_path: Path, flat: bool, colour: bool) -> None:
    images = RNG.integers(0, 256, (3, 8, 8, 3) if colour else (3, 8, 8), dtype=np.uint8)
    file = archive(
        tmp_path / "mist.npz",
        train_images=images,
        train_labels=np.array([1, 0, 1]) if flat else np.array([[1], [0], [1]]),
    )
    for path in (file, tmp_path):
        assert recognises_npz(path)
        data = read_npz(path)
        assert data.name == "mist" and data.classes == ("0", "1") and data.declared == {"train", "validation", "test"}
        assert labels(data)[:3] == ["1", "0", "1"] and data.items[4].id == "validation:1"
        assert np.array_equal(pixels(data.items[2]).squeeze(), images[2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val_labels": np.zeros((3, 14), int)}, "14 labels an image"),
        ({"val_labels": np.zeros(2, int)}, "3 images but labels"),
        ({"val_labels": np.zeros(3)}, "float64"),
        ({"val_labels": None}, "holds"),
        ({"val_images": np.zeros((3, 8, 8))}, "float64"),
        ({"val_images": np.zeros((3, 8, 8, 8), np.uint8)}, "uint8"),
        ({"val_images": np.array([{}, {}, {}])}, "cannot be read"),
        ({f"{s}_{w}": None for s in ("train", "val", "test") for w in ("images", "labels")} | {"x": 1}, "nothing"),
    ],
)
def test_bad_npz(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_npz(archive(tmp_path / "x.npz", **changes))


@pytest.mark.parametrize("keep", [0, 10, 400])
def test_truncated_npz(tmp_path: Path, keep: int) -> None:
    file = archive(tmp_path / "x.npz")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(file)


def test_two_archives_are_not_recognised(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz")
    archive(tmp_path / "b.npz")
    assert not recognises_npz(tmp_path)


def test_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recognises_digits(Path("digits")) and not recognises_digits(Path("other"))
    data = read_digits(Path("digits"))
    assert len(data) == 1797 and data.classes == tuple("0123456789") and data.declared == frozenset()
    assert pixels(data.items[0]).shape == (8, 8, 1)
    assert max(pixels(item).max() for item in data.items) == 255
    (tmp_path / "digits").mkdir()
    assert not recognises_digits(Path("digits"))  # what is there on disk comes first
