"""Lists whose paths are clips: folders of frames and files that move, beside what is neither."""

from pathlib import Path

import pytest
from tests.data.clips import write_clip, write_film, write_frames

from visto.data import read
from visto.data.dataset import Clip
from visto.data.lists import read_list
from visto.errors import DataError


def write(root: Path, text: str, name: str = "clips.csv") -> Path:
    (root / name).write_text(text)
    return root / name


def test_a_list_of_clips(tmp_path: Path) -> None:
    write_clip(tmp_path / "a")
    write_film(tmp_path / "films" / "b.gif")
    (tmp_path / "c.mp4").write_bytes(b"x")
    file = write(tmp_path, "path,label,split,group\na/,walk,train,p1\nfilms/b.gif,run,test,p2\nc.mp4,run,train,p1\n")
    data = read_list(file)
    assert data.task == "sequence" and data.format == "list" and data.classes == ("run", "walk")
    assert [(item.id, item.split, item.group) for item in data.items] == [
        ("a", "train", "p1"),
        ("films/b.gif", "test", "p2"),
        ("c.mp4", "train", "p1"),
    ]
    assert data.items[1].source == Clip((tmp_path / "films/b.gif",), moving=True)
    assert isinstance(data.items[0].source, Clip) and len(data.items[0].source.files) == 5
    assert not data.ledger
    assert read(tmp_path).format == "list"


def test_json_lines(tmp_path: Path) -> None:
    write_clip(tmp_path / "a")
    write_clip(tmp_path / "b")
    file = write(tmp_path, '{"path": "a", "label": "x"}\n{"path": "b", "label": "y"}\n', "l.jsonl")
    assert read_list(file).task == "sequence"


def test_the_ledger(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "unlisted"):
        write_clip(tmp_path / name)
    write_clip(tmp_path / "a" / "deeper", 2)
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "b" / "0003.png").unlink()
    (tmp_path / "empty").mkdir()
    write_frames(tmp_path, ["still.png"])
    write_film(tmp_path / "still.gif", 1)
    rows = ["path,label", *(f"{name},x" for name in ("a", "b", "c", "empty", "still.png", "still.gif", "gone"))]
    data = read_list(write(tmp_path, "\n".join(rows)).parent)
    assert [item.id for item in data.items] == ["a", "b", "c"]
    assert {e.id: (e.status, e.reason) for e in data.ledger} == {
        "clips.csv:8: gone": ("rejected", "no such file"),
        "still.png": ("rejected", "not a clip, as the others are"),
        "still.gif": ("rejected", "only one frame: nothing moves"),
        "a/notes.txt": ("rejected", "not an image by its name (.txt)"),
        "a/deeper/0001.png": ("rejected", "inside the clip a"),
        "a/deeper/0002.png": ("rejected", "inside the clip a"),
        "b": ("repaired", "frame 3 is missing"),
        "empty": ("rejected", "a folder without frames"),
        **{f"unlisted/000{k}.png": ("rejected", "not in clips.csv") for k in range(1, 6)},
    }


def test_images_stay_images(tmp_path: Path) -> None:
    write_frames(tmp_path, ["1.png", "2.png", "3.png"])
    write_film(tmp_path / "moves.gif")
    (tmp_path / "folder").mkdir()
    data = read_list(write(tmp_path, "path,label\n1.png,x\n2.png,x\n3.png,y\nmoves.gif,y\nfolder,x\n"))
    assert data.task == "classification" and len(data) == 4
    assert [entry.reason for entry in data.ledger] == ["not a regular file"]


def test_several_classes_of_a_clip(tmp_path: Path) -> None:
    write_clip(tmp_path / "a")
    with pytest.raises(DataError, match="several classes of a clip"):
        read_list(write(tmp_path, "path,label\na,x|y\n"))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no usable row .*none: a folder without frames"):
        read_list(write(tmp_path, "path,label\nnone,x\n"))
