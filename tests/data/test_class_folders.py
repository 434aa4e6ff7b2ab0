"""Class folders, flat and split, and the walk below them: what is an image, what is not, and why."""

import os
import socket
from pathlib import Path

import pytest

from visto.data.class_folders import read_class_folders
from visto.data.dataset import Dataset
from visto.data.listing import list_images
from visto.data.walk import natural
from visto.errors import DataError


def touch(root: Path, *names: str) -> None:
    """Files are not opened by the reader, so one byte is an image."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def reasons(data: Dataset) -> dict[str, str]:
    assert all(entry.status == "rejected" for entry in data.ledger)
    return {entry.id: entry.reason for entry in data.ledger}


def test_flat(tmp_path: Path) -> None:
    touch(tmp_path, "10/a.png", "2/b.JPG", "2/deep/er/c.webp", "1/d.tif")
    data = read_class_folders(tmp_path)
    assert data.classes == ("1", "2", "10")
    found = [(item.id, item.target.classes[0] if item.target else None, item.split) for item in data.items]
    assert found == [("1/d.tif", 0, None), ("2/b.JPG", 1, None), ("2/deep/er/c.webp", 1, None), ("10/a.png", 2, None)]
    assert data.declared == frozenset() and data.ledger == () and data.format == "class-folders"
    assert data.items[0].source == tmp_path / "1/d.tif"


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Val", "validation"),
        ("VALID", "validation"),
        ("validation", "validation"),
        ("Test", "test"),
    ],
)
def test_split_folders(tmp_path: Path, folder: str, split: str) -> None:
    touch(tmp_path, f"{folder}/cat/1.png", f"{folder}/dog/2.png")
    data = read_class_folders(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.declared == {split} and {item.split for item in data.items} == {split}


def test_a_class_may_be_missing_in_a_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "test/dog/2.png", "val/cat/3.png", "valid/cat/4.png")
    data = read_class_folders(tmp_path)
    assert data.classes == ("cat", "dog")
    assert [item.split for item in data.items] == ["test", "train", "validation", "validation"]


def test_classes_that_are_called_like_a_split(tmp_path: Path) -> None:
    touch(tmp_path, "test/1.png", "control/2.png")
    assert read_class_folders(tmp_path).classes == ("control", "test")


def test_splits_full_of_loose_images_are_not_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "test/2.png")
    with pytest.raises(DataError, match="no class folders"):
        read_class_folders(tmp_path)


def test_everything_else_is_in_the_ledger(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("train/cat/1.png", "train/loose.png", "extra/2.png", "top.png", "readme.txt", "train/cat/noext"),
        *("train/cat/.DS_Store", "train/cat/Thumbs.db", "desktop.ini", ".git/x.png", "__MACOSX/train/cat/1.png"),
    )
    (tmp_path / "train/dog").mkdir()
    data = read_class_folders(tmp_path)
    assert [item.id for item in data.items] == ["train/cat/1.png"]
    assert reasons(data) == {
        "train/loose.png": "an image outside any class folder",
        "extra/2.png": "an image outside the split folders (train)",
        "top.png": "an image outside the split folders (train)",
        "readme.txt": "not an image by its name (.txt)",
        "train/cat/noext": "not an image by its name (no extension)",
        "train/cat/.DS_Store": "system file",
        "train/cat/Thumbs.db": "system file",
        "desktop.ini": "system file",
        ".git": "system file",
        "__MACOSX": "system file",
        "train/dog/": "a class folder without images",
    }


def test_loose_images_beside_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "loose.png")
    assert reasons(read_class_folders(tmp_path)) == {"loose.png": "an image outside any class folder"}


def test_fifo_and_socket_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/1.png")
    os.mkfifo(tmp_path / "cat/pipe.png")
    monkeypatch.chdir(tmp_path / "cat")  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("plug.png")
        found = reasons(read_class_folders(tmp_path))
    assert found == {"cat/pipe.png": "not a regular file (FIFO)", "cat/plug.png": "not a regular file (socket)"}


def test_links(tmp_path: Path) -> None:
    real, root = tmp_path / "real", tmp_path / "root"
    touch(real, "a/1.png", "split/cat/2.png", "split/dog/3.png")
    root.mkdir()
    (root / "train").symlink_to(real / "split")
    (root / "test").mkdir()
    (root / "test/cat").symlink_to(real / "a")
    (root / "test/loop").symlink_to(root)
    (root / "test/self").symlink_to("self")
    (root / "test/gone.png").symlink_to("nowhere")
    (root / "test/again").symlink_to(real / "split/dog")
    (tmp_path / "link").symlink_to(root)
    data = read_class_folders(tmp_path / "link")
    assert data.name == "root"
    assert [item.id for item in data.items] == ["test/again/3.png", "test/cat/1.png", "train/cat/2.png"]
    assert reasons(data) == {
        "test/gone.png": "a broken link",
        "test/loop": "a link loop",
        "test/self": "a link loop",
        "train/dog": "the same folder as test/again/, which is read already",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "cat/2.png", "dog/3.png")
    (tmp_path / "cat/2.png").chmod(0)
    (tmp_path / "dog").chmod(0)
    found = reasons(read_class_folders(tmp_path))
    (tmp_path / "dog").chmod(0o755)
    assert found["cat/2.png"] == found["dog"] == "cannot be read: Permission denied"


def test_strange_names(tmp_path: Path) -> None:
    touch(tmp_path, "猫/a\nb.png", "été/ñ.png", "e\u0301te\u0301/2.png")
    Path(os.fsdecode(os.fsencode(tmp_path / "猫") + b"/\xff.png")).write_bytes(b"x")
    data = read_class_folders(tmp_path)
    assert data.classes == ("été", "猫")  # two spellings of one name
    ids = [item.id for item in data.items]
    assert "猫/a\nb.png" in ids and "猫/\\xff.png" in ids and len(ids) == len(set(ids)) == 4
    assert all(isinstance(item.source, Path) and item.source.exists() for item in data.items)
    "".join(ids).encode()


def test_deep_trees_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    for _ in range(600):
        os.mkdir("d")
        os.chdir("d")
    Path("1.png").write_bytes(b"x")
    os.chdir(here)
    assert len(read_class_folders(tmp_path).items) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [((), "no images"), (("a/notes.txt",), "notes.txt"), (("1.png", "2.png"), "2 images in .* but no class folders")],
)
def test_nothing_to_read(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=words) as caught:
        read_class_folders(tmp_path)
    assert "one folder for each class" in caught.value.expected and caught.value.hint


def test_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    names = [f"{label}/img{k}.png" for label in ("b", "a") for k in (10, 9, 1, 2)]
    touch(tmp_path, *names)
    assert [item.id for item in read_class_folders(tmp_path).items] == [
        f"{label}/img{k}.png" for label in ("a", "b") for k in (1, 2, 9, 10)
    ]


def test_natural_order() -> None:
    assert sorted(["x10", "x9", "X1", "x01", "x", "1" * 5000, "²"], key=natural)[:2] == ["1" * 5000, "x"]
    assert sorted(["10", "9", "010", "a", "B"], key=natural) == ["9", "010", "10", "a", "B"]


def test_list_images(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "sub/a.jpg", "notes.txt", "image.dat")
    items, entries = list_images(tmp_path)
    assert [item.id for item in items] == ["b.png", "sub/a.jpg"] and all(item.target is None for item in items)
    assert {entry.id for entry in entries} == {"notes.txt", "image.dat"}
    assert list_images(tmp_path / "image.dat")[0][0].id == "image.dat"
    with pytest.raises(DataError, match="does not exist"):
        list_images(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("picture", "other", "content"),
    [
        ("cat/{}.jpg", "cat/{}.txt", "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n"),
        ("cat/{}.jpg", "cat/{}.xml", "<?xml version='1.0'?>\n<annotation></annotation>"),
        ("a/images/{}.jpg", "a/labels/{}.txt", "0 0.5 0.5 0.1 0.1"),
        ("a/JPEGImages/{}.jpg", "a/Annotations/{}.xml", "<annotation/>"),
        ("images/{}.jpg", "notes/{}.txt", "x"),
        ("train/images/{}.jpg", "notes/{}.txt", "x"),
        ("obj_train_data/{}.jpg", "notes/{}.txt", "x"),
    ],
)
def test_data_with_boxes_are_not_class_folders(tmp_path: Path, picture: str, other: str, content: str) -> None:
    for k in range(3):
        touch(tmp_path, picture.format(k))
    for k in range(2):
        touch(tmp_path, other.format(k))
        (tmp_path / other.format(k)).write_text(content)
    with pytest.raises(DataError, match="data with boxes") as caught:
        read_class_folders(tmp_path)
    assert "classes.txt" in caught.value.hint


@pytest.mark.parametrize("content", ["a photo of a cat", "3", "", "<html/>", "1 2 3 4"])
def test_captions_beside_images_are_no_boxes(tmp_path: Path, content: str) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg", "images/3.jpg", "cat/1.txt", "dog/2.txt", "images/3.xml")
    for name in ("cat/1.txt", "dog/2.txt", "images/3.xml"):
        (tmp_path / name).write_text(content)
    assert read_class_folders(tmp_path).classes == ("cat", "dog", "images")
