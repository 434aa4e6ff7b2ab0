"""``read``: the format is found, every item has a split, and what is not there is said clearly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from visto.data import FORMATS, read
from visto.errors import DataError, UsageError


def test_every_format_has_a_line() -> None:
    boxes = ["coco", "yolo", "voc", "boxes-list"]
    arrays, series = ["digits", "idx", "cifar", "series-npz", "forecast", "npz"], ["series-lines", "series-table"]
    assert list(FORMATS) == [*arrays, *boxes, *series, "list", "clip-folders", "class-folders"]
    assert all(entry.describe and "\n" not in entry.describe for entry in FORMATS.values())


def test_class_folders_are_found_and_split(tmp_path: Path) -> None:
    for k in range(20):
        for label in ("cat", "dog"):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{k}.png").write_bytes(b"x")
    data = read(str(tmp_path))
    assert data.format == "class-folders" and data.declared == frozenset()
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 6, 6)
    assert read(tmp_path, split_seed=1) != data
    (tmp_path / "notes.csv").write_text("year,rain\n2020,7\n")
    assert read(tmp_path).format == "class-folders"  # a folder of classes with some table beside


def test_a_list_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "l.csv").write_text("path,label\na.png,x\n")
    assert read(tmp_path).format == read(tmp_path / "l.csv").format == "list"


def test_npz_and_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    np.savez("x.npz", train_images=images, train_labels=labels)
    assert read("x.npz").format == read(tmp_path).format == "npz"
    assert len(read("digits")) == 1797


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        read(tmp_path / "nowhere")
    assert "class" in caught.value.expected
    (tmp_path / "x.doc").write_bytes(b"x")
    with pytest.raises(DataError, match="no format"):
        read(tmp_path / "x.doc")
    with pytest.raises(DataError, match="no images"):
        read(tmp_path)
    with pytest.raises(UsageError, match="'tfrecord'"):
        read(tmp_path, format="tfrecord")


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "digits"])
@pytest.mark.parametrize("what", ["nothing", "file", "folder"])
def test_every_reader_answers_a_wrong_path_with_a_data_error(tmp_path: Path, format: str, what: str) -> None:
    path = tmp_path / "x"
    if what == "file":
        path.write_bytes(b"x")
    elif what == "folder":
        path.mkdir()
    with pytest.raises(DataError):
        read(path, format=format)


def test_importing_is_quick() -> None:
    code = "import sys, visto.data; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
