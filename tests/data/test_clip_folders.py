"""Clip folders: what is a clip, what stays an image, and what the ledger says of the rest."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.clips import write_clip, write_film, write_frames

from visto.data import read
from visto.data.clip_folders import read_clip_folders
from visto.data.clip_layout import recognises_clip_folders
from visto.data.dataset import Clip, Dataset
from visto.data.frame_names import ordered
from visto.data.moving import moves
from visto.errors import DataError, UsageError


def clips(data: Dataset) -> dict[str, Clip]:
    return {item.id: item.source for item in data.items if isinstance(item.source, Clip)}


def said(data: Dataset) -> dict[str, tuple[str, str]]:
    assert len({entry.id for entry in data.ledger}) == len(data.ledger)
    return {entry.id: (entry.status, entry.reason) for entry in data.ledger}


def labels(data: Dataset) -> dict[str, str]:
    return {item.id: data.classes[item.target.classes[0]] for item in data.items if item.target is not None}


def flat(root: Path, *, per_class: int = 3) -> Path:
    for label in ("walk", "run"):
        for k in range(1, per_class + 1):
            write_clip(root / label / str(k))
    return root


def test_flat(tmp_path: Path) -> None:
    data = read(flat(tmp_path, per_class=11))
    assert (data.format, data.task, data.classes, data.ledger) == ("clip-folders", "sequence", ("run", "walk"), ())
    assert [item.id for item in data.items][:11] == [f"run/{k}" for k in range(1, 12)]
    assert clips(data)["run/2"] == Clip(files=tuple(tmp_path / f"run/2/000{k}.png" for k in range(1, 6)))
    assert {item.group for item in data.items} == {None} and data.declared == frozenset()


def test_split_folders(tmp_path: Path) -> None:
    for split in ("train", "Val", "testing"):
        flat(tmp_path / split, per_class=2)
    data = read(tmp_path)
    assert data.format == "clip-folders" and data.classes == ("run", "walk")
    assert data.declared == {"train", "validation", "test"}
    assert {item.id.split("/")[0]: item.split for item in data.items} == {
        "train": "train",
        "Val": "validation",
        "testing": "test",
    }


def test_a_folder_between_class_and_clip_is_its_group(tmp_path: Path) -> None:
    for label in ("walk", "run"):
        for person in ("ira", "ido", "eli"):
            write_clip(tmp_path / label / person / "a")
            write_film(tmp_path / label / person / "b.gif")
        write_clip(tmp_path / label / "ira" / "morning" / "c")
    write_clip(tmp_path / "run" / "alone")
    data = read_clip_folders(tmp_path)
    groups = {item.id: item.group for item in data.items}
    assert groups["walk/ira/a"] == groups["run/ira/b.gif"] == groups["run/ira/morning/c"] == "ira"
    assert groups["run/alone"] is None and len(groups) == 15 and data.ledger == ()
    assert data.notes[-1].startswith("3 groups, named by the folders between class and clip")
    assert data.notes[-1].endswith("; without one: 1, each by itself")
    assert recognises_clip_folders(tmp_path)


def test_films_need_no_folder(tmp_path: Path) -> None:
    for label in ("wave", "jump"):
        write_film(tmp_path / label / "a.gif")
        write_film(tmp_path / label / "b.webp")
        write_film(tmp_path / label / "still.gif", 1)
    data = read(tmp_path)
    assert labels(data) == {f"{c}/{f}": c for c in ("jump", "wave") for f in ("a.gif", "b.webp")}
    assert clips(data)["jump/a.gif"] == Clip(files=(tmp_path / "jump/a.gif",), moving=True)
    assert said(data) == {f"{c}/still.gif": ("rejected", "only one frame: nothing moves") for c in ("jump", "wave")}


def test_videos_are_known_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("walk/a.mp4", "walk/b.AVI", "run/c.webm", "run/d.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    data = read(tmp_path)
    assert set(labels(data)) == {"walk/a.mp4", "walk/b.AVI", "run/c.webm", "run/d.mov"}
    assert all(clip.moving for clip in clips(data).values())
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match="PyAV") as caught:
        read(tmp_path)
    assert "visto[video]" in caught.value.hint
    assert read_clip_folders(flat(tmp_path / "frames")).classes == ("run", "walk")  # no video, no need


def test_the_ledger(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk" / "whole")
    write_frames(tmp_path / "walk" / "gap", [f"f{k}.png" for k in (*range(1, 17), 18, 19, 21)])
    write_frames(tmp_path / "walk" / "stride", [f"f{k}.png" for k in (0, 5, 10, 20, 25)])
    write_frames(tmp_path / "walk" / "sizes", ["1.png", "2.png", "3.png"])
    write_frames(tmp_path / "walk" / "sizes", ["4.png"], size=(6, 6))
    write_frames(tmp_path / "walk" / "double", ["1.png", "001.jpg", "2.png", "3.png"])
    write_frames(tmp_path / "walk" / "odd", ["f1.png", "f2.png", "f3.png", "cover.png"])
    write_frames(tmp_path / "walk" / "single", ["1.png"])
    (tmp_path / "walk" / "empty").mkdir()
    (tmp_path / "none").mkdir()
    write_clip(tmp_path / "walk" / "broken")
    for name in ("0002.png", "notes.txt", ".DS_Store"):
        (tmp_path / "walk/broken" / name).write_bytes(b"x")
    write_clip(tmp_path / "walk" / "bad", 1)
    for name in ("0001.png", "0002.png"):
        (tmp_path / "walk/bad" / name).write_bytes(b"")
    write_clip(tmp_path / "walk" / "whole" / "masks")
    write_film(tmp_path / "walk" / "whole" / "all.gif")
    write_frames(tmp_path / "walk", ["loose.png"])
    write_frames(tmp_path, ["top.png"])
    data = read_clip_folders(tmp_path)
    assert set(clips(data)) == {f"walk/{n}" for n in ("whole", "gap", "stride", "sizes", "double", "odd", "broken")}
    assert [file.name for file in clips(data)["walk/double"].files] == ["001.jpg", "2.png", "3.png"]
    assert len(clips(data)["walk/broken"].files) == 4
    inside = "inside the clip walk/whole"
    assert said(data) == {
        "walk/gap": ("repaired", "frame 17 is missing, 2 in all"),
        "walk/stride": ("repaired", "frame 15 is missing"),
        "walk/sizes": ("repaired", "frames of 2 sizes, most of them 12×8"),
        "walk/double": ("repaired", "1 frame left out"),
        "walk/double/1.png": ("rejected", "the same frame number as 001.jpg"),
        "walk/odd/cover.png": ("rejected", "named otherwise than the frames beside it, such as f1.png"),
        "walk/single": ("rejected", "only one frame: nothing moves"),
        "walk/empty/": ("rejected", "a clip folder without frames"),
        "none/": ("rejected", "a class folder without clips"),
        "walk/broken": ("repaired", "1 frame left out"),
        "walk/broken/0002.png": ("rejected", "not an image by its content"),
        "walk/broken/notes.txt": ("rejected", "not an image by its name (.txt)"),
        "walk/broken/.DS_Store": ("rejected", "system file"),
        "walk/bad": ("rejected", "none of its 2 frames can be used"),
        "walk/bad/0001.png": ("rejected", "an empty file"),
        "walk/bad/0002.png": ("rejected", "an empty file"),
        **{f"walk/whole/masks/000{k}.png": ("rejected", inside) for k in range(1, 6)},
        "walk/whole/all.gif": ("rejected", inside),
        "walk/loose.png": ("rejected", "outside any clip folder"),
        "top.png": ("rejected", "outside any clip folder"),
    }


def test_what_lies_outside_the_split_folders(tmp_path: Path) -> None:
    flat(tmp_path / "train")
    write_clip(tmp_path / "extra" / "walk" / "1", 2)
    write_film(tmp_path / "extra" / "walk" / "2.gif")
    assert set(said(read_clip_folders(tmp_path)).values()) == {("rejected", "outside the split folders (train)")}
    assert len(said(read_clip_folders(tmp_path))) == 3


def test_a_class_called_like_a_split(tmp_path: Path) -> None:
    flat(tmp_path)
    write_clip(tmp_path / "training" / "1")
    assert read_clip_folders(tmp_path).classes == ("run", "training", "walk")


@pytest.mark.parametrize(
    "layout",
    [
        "plain",
        "split",
        "one folder a class",
        "named",
        "far numbers",
        "sizes",
        "two classes of camera names",
        "still gifs",
        "few gifs",
        "frames of one class",
        "masks",
        "tiny folders",
    ],
)
def test_images_stay_images(tmp_path: Path, layout: str) -> None:
    numbers = [f"{k}.png" for k in range(1, 7)]
    for label in ("cat", "dog"):
        folder = tmp_path / label
        match layout:
            case "plain":
                write_frames(folder, numbers)
            case "split":
                write_frames(tmp_path / "train" / label, numbers)
            case "one folder a class":
                write_frames(folder / "images", numbers)
            case "named":
                for k in range(4):
                    write_frames(folder / f"{k}", ["nose.png", "tail.png", "paw.png", "eye.png"])
            case "far numbers":
                for k in range(4):
                    write_frames(folder / f"{k}", ["3.png", "14.png", "159.png", "2653.png"])
            case "sizes":
                for k in range(4):
                    write_frames(folder / f"{k}", numbers[:-1])
                    write_frames(folder / f"{k}", numbers[-1:], size=(9, 9))
            case "two classes of camera names":
                for k in range(4):
                    write_frames(folder / f"{k}", [f"2021_{day:02d}_IMG_{day * 7}.png" for day in range(1, 7)])
            case "still gifs":
                write_film(folder / "a.gif", 1)
                write_film(folder / "b.webp", 1)
            case "few gifs":
                write_frames(folder, numbers)
                write_film(folder / "a.gif")
            case "frames of one class":
                for k in range(4):
                    write_frames(tmp_path / "all" / f"{label}{k}", numbers)
            case "masks":
                for k in range(4):
                    write_frames(tmp_path / {"cat": "JPEGImages", "dog": "Annotations"}[label] / f"{k}", numbers)
            case "tiny folders":
                for k in range(9):
                    write_frames(folder / f"{k}", numbers[:3])
    assert not recognises_clip_folders(tmp_path)
    assert read(tmp_path).format == "class-folders"


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clips") as caught:
        read_clip_folders(tmp_path)
    assert "a folder of numbered frames" in caught.value.expected
    write_frames(tmp_path / "cat", ["1.png", "2.png"])
    with pytest.raises(DataError, match=r"no clips .* cat/1.png \(outside any clip folder\)"):
        read(tmp_path, format="clip-folders")


def test_a_clip_of_any_names_in_natural_order(tmp_path: Path) -> None:
    write_frames(tmp_path / "a" / "x", ["b.png", "a.png", "c.png"])
    write_frames(tmp_path / "a" / "y", ["1305031102.175304.png", "1305031102.2.png", "1305031101.9.png"])
    found = clips(read_clip_folders(tmp_path))
    assert [file.name for file in found["a/x"].files] == ["a.png", "b.png", "c.png"]
    assert found["a/y"].files[0].name == "1305031101.9.png"


def test_the_numbers_in_names() -> None:
    assert ordered(["walk2_9.png", "walk2_10.png", "WALK2_11.PNG"]).numbers == (9, 10, 11)
    assert not ordered([]).names and not ordered(["a.png"]).numbers
    assert ordered(["1.png", "001.jpg"]).double == (("1.png", "001.jpg"),)
    assert ordered(["1.png", "8.png", "31.png"]).missing == ""


@given(st.lists(st.from_regex(r"[ab_]{0,2}[0-9]{0,3}[ab_]{0,1}[0-9]{0,2}\.(png|jpg)", fullmatch=True), unique=True))
def test_every_name_is_a_frame_or_said(names: list[str]) -> None:
    found = ordered(names)
    assert sorted([*found.names, *found.odd, *(out for out, _ in found.double)]) == sorted(names)
    assert list(found.numbers) == sorted(set(found.numbers))
    assert len(found.numbers) in (0, len(found.names)) and {kept for _, kept in found.double} <= set(found.names)
    assert isinstance(found.missing, str) and (found.step > 0 or not found.missing)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_what_moves(tmp_path: Path, suffix: str) -> None:
    film = write_film(tmp_path / f"a.{suffix}", 3)
    assert moves(film) and not moves(write_film(tmp_path / f"b.{suffix}", 1))
    content = film.read_bytes()
    for length in range(0, 60, 3):  # cut off: never an error
        film.write_bytes(content[:length])
        assert not moves(film)
    assert not moves(tmp_path / "gone.gif") and not moves(tmp_path)
