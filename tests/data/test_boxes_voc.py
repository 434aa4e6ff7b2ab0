"""Pascal VOC: layouts, splits, hostile and broken files, and a word on every box."""

import os
from pathlib import Path

import pytest
from tests.data.boxes import boxes, corners, image, said, text, voc

from visto.data import read
from visto.data.voc import read_voc, recognises_voc
from visto.errors import DataError
from visto.testing import check_dataset
from visto.types import Boxes

BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""


def folder(root: Path, annotations: dict[str, str]) -> Path:
    for stem, content in annotations.items():
        image(root / f"JPEGImages/{stem}.jpg")
        text(root / f"Annotations/{stem}.xml", content)
    return root


def test_corners_count_from_one(tmp_path: Path) -> None:
    folder(tmp_path, {"a": voc([("dog", corners(1, 1, 40, 30)), ("cat", corners(3, "4.0", 5, 6))], size=(40, 30))})
    data = read_voc(tmp_path)
    assert (data.task, data.format, data.classes) == ("detection", "voc", ("cat", "dog"))
    assert boxes(data) == {"JPEGImages/a.jpg": [("dog", [0, 0, 40, 30]), ("cat", [2, 3, 5, 6])]}
    assert [(e.id, e.status) for e in data.ledger] == [("JPEGImages/a.jpg#1", "kept"), ("JPEGImages/a.jpg#2", "kept")]


def test_every_box_has_a_word(tmp_path: Path) -> None:
    objects = [
        ("dog", corners(2, 2, 9, 9)),
        ("dog", corners(2, 2, 9, 9)),
        ("dog", corners(0, 2, 9, 9)),
        ("dog", corners(-5, 2, 9, 8)),
        ("dog", corners(30, 20, 41, 31)),
        ("dog", corners(41, 2, 50, 9)),
        ("dog", corners(9, 2, 5, 9)),
        ("dog", corners(5, 5, 5, 5)),
        ("dog", corners("nan", 2, 5, 9)),
        ("dog", corners("x", 2, 5, 9)),
        ("dog", ""),
        ("dog", "<robndbox><cx>1</cx></robndbox>"),
        (" ", corners(2, 2, 9, 9)),
        ("cat", corners(2, 2, 9, 9) + "<difficult>1</difficult>"),
        ("dog", corners(0.25, 0.25, 0.75, 0.75)),
        ("dog", corners(1, 2, 8, 9)),
        ("dog", corners(2, 1, 8, 9)),
    ]
    data = read_voc(folder(tmp_path, {"a": voc(objects)}))
    reasons = {id.removeprefix("JPEGImages/a.jpg"): word for id, word in said(data).items()}
    assert reasons == {
        "#2": ("rejected", "a duplicate: the same box and class was there before"),
        "#3": ("repaired", "a corner at 0, where the format counts from 1: clipped to the image"),
        "#4": ("repaired", "reaches past the image: clipped to it"),
        "#5": ("repaired", "reaches past the image: clipped to it"),
        "#6": ("rejected", "outside the image"),
        "#7": ("rejected", "inverted: an edge at the far side of its opposite"),
        "#8": ("rejected", "a single point: both corners are the same pixel"),
        "#9": ("rejected", "a corner that is no finite number"),
        "#10": ("rejected", "a corner that is missing or no number"),
        "#11": ("rejected", "no box"),
        "#12": ("rejected", "a rotated box, which is not read"),
        "#13": ("rejected", "no class name"),
        "#15": ("rejected", "within 0–1: it looks like fractions of the image, not pixels"),
    }
    assert len(data.ledger) == len(objects)
    target = data.items[0].target
    assert isinstance(target, Boxes) and target.ignored is not None and target.crowd is None and target.areas is None
    assert target.ignored.tolist() == [False, False, False, False, True, False, False]
    assert target.xyxy.tolist()[1:4] == [[0, 1, 9, 9], [0, 1, 9, 8], [29, 19, 40, 30]]


def test_images_without_boxes_and_without_files(tmp_path: Path) -> None:
    bad = voc([("dog", corners(9, 9, 2, 2))])
    folder(
        tmp_path, {"a": voc([("dog", corners(2, 2, 9, 9))]), "empty": voc([]), "allbad": bad, "broken": "<annotation>"}
    )
    folder(tmp_path, {"bomb": BOMB, "other": "<html/>"})
    image(tmp_path / "JPEGImages/alone.jpg")
    image(tmp_path / "SegmentationClass/a.png")
    text(tmp_path / "JPEGImages/torn.jpg", "no image")
    text(tmp_path / "Annotations/torn.xml", voc([("dog", corners(2, 2, 9, 9))]))
    text(tmp_path / "Annotations/gone.xml", voc([("dog", corners(2, 2, 9, 9))], filename="gone.jpg"))
    data = read_voc(tmp_path)
    assert boxes(data) == {"JPEGImages/a.jpg": [("dog", [1, 1, 9, 9])], "JPEGImages/empty.jpg": []}
    found = said(data)
    assert found.pop("JPEGImages/broken.jpg")[1].startswith(
        "its annotation broken.xml cannot be used: broken XML: no ele"
    )
    assert found == {
        "JPEGImages/allbad.jpg": ("rejected", "none of its boxes can be used: what it shows is unknown"),
        "JPEGImages/allbad.jpg#1": ("rejected", "inverted: an edge at the far side of its opposite"),
        "JPEGImages/bomb.jpg": (
            "rejected",
            "its annotation bomb.xml cannot be used: a document type or entity, which no annotation needs",
        ),
        "JPEGImages/other.jpg": (
            "rejected",
            "its annotation other.xml cannot be used: not a Pascal VOC annotation: it begins with <html>",
        ),
        "JPEGImages/torn.jpg": ("rejected", "not an image by its content"),
        "JPEGImages/torn.jpg#1": ("rejected", "its image is rejected"),
        "Annotations/gone.xml": ("rejected", "no image for it: none called gone, no gone.jpg"),
        "Annotations/gone.xml#1": ("rejected", "its image is missing"),
        "JPEGImages/alone.jpg": ("rejected", "no annotation file: what it shows is unknown"),
        "SegmentationClass/a.png": ("rejected", "no annotation file, and outside the folders of images"),
    }


def test_a_file_that_is_read_is_never_waited_for(tmp_path: Path) -> None:
    folder(tmp_path, {"a": voc([("dog", corners(2, 2, 9, 9))])})
    os.mkfifo(tmp_path / "Annotations/pipe.xml")
    (tmp_path / "JPEGImages/loop.jpg").symlink_to("loop.jpg")
    assert len(read_voc(tmp_path)) == 1


def lists(root: Path, **names: str) -> None:
    for name, content in names.items():
        text(root / f"ImageSets/Main/{name}.txt", content)


def test_split_lists(tmp_path: Path) -> None:
    folder(tmp_path, {stem: voc([("dog", corners(2, 2, 9, 9))]) for stem in ("a", "b", "c", "d", "e f")})
    lists(tmp_path, train="a\ne f\nlost\n", val="b.jpg\r\na\n", trainval="a\nb\n", test="\ufeffc\n")
    lists(tmp_path, dog_train="a  1\nb -1\n")
    data = read_voc(tmp_path)
    splits = {item.id: item.split for item in data.items}
    assert splits == {
        "JPEGImages/a.jpg": "train",
        "JPEGImages/b.jpg": "validation",
        "JPEGImages/c.jpg": "test",
        "JPEGImages/e f.jpg": "train",
    }
    assert data.declared == {"train", "validation", "test"}
    assert said(data) == {
        "ImageSets/Main/dog_train.txt": ("rejected", "not a list of a split (train, val, test, trainval)"),
        "ImageSets/Main/train.txt:3: lost": ("rejected", "no annotated image so called"),
        "JPEGImages/a.jpg": ("repaired", "in the lists of several splits: taken for train"),
        "JPEGImages/d.jpg": ("rejected", "in no split list"),
        "JPEGImages/d.jpg#1": ("rejected", "its image is rejected"),
    }


def test_only_trainval(tmp_path: Path) -> None:
    folder(tmp_path, {stem: voc([("dog", corners(2, 2, 9, 9))]) for stem in ("a", "b")})
    lists(tmp_path, trainval="a\nb\n", train="a 1\nb -1\n")
    data = read_voc(tmp_path)
    assert {item.split for item in data.items} == {"train"} and data.declared == {"train"}
    assert said(data) == {"ImageSets/Main/train.txt": ("rejected", "a list for one class (1, 0, -1), not of a split")}


@pytest.mark.parametrize(
    ("picture", "annotation"),
    [
        ("a.png", "a.xml"),
        ("JPEGImages/sub/a.PNG", "Annotations/sub/a.xml"),
        ("images/a.png", "annotations/xmls/a.xml"),
        ("a.png", "annotations/a.XML"),
        ("JPEGImages/named.png", "Annotations/17.xml"),
    ],
)
def test_layouts(tmp_path: Path, picture: str, annotation: str) -> None:
    image(tmp_path / picture)
    image(tmp_path / Path(picture).parent / "more.png")
    text(tmp_path / annotation, voc([("dog", corners(2, 2, 9, 9))], filename=f"C:\\data\\{Path(picture).name}"))
    data = read(tmp_path)
    assert data.format == "voc" and list(boxes(data)) == [picture]


@pytest.mark.parametrize("below", ["", "Annotations/"])
def test_split_folders(tmp_path: Path, below: str) -> None:
    for part in ("train", "valid", "test"):
        for k in range(2):
            image(tmp_path / part / ("JPEGImages" if below else "") / f"{k}.jpg")
            text(tmp_path / part / below / f"{k}.xml", voc([("dog", corners(2, 2, 9, 9))], filename=f"{k}.jpg"))
    image(tmp_path / "extra/9.jpg")
    text(tmp_path / "extra/9.xml", voc([]))
    data = read(tmp_path)
    check_dataset(data)
    assert data.format == "voc" and data.declared == {"train", "validation", "test"} and len(data) == 6
    assert said(data) == {"extra/9.jpg": ("rejected", "outside the split folders (test, train, valid)")}


def test_several_images_of_one_name(tmp_path: Path) -> None:
    folder(
        tmp_path, {"a": voc([("dog", corners(2, 2, 9, 9))]), "b": voc([("dog", corners(2, 2, 9, 9))], filename="b.png")}
    )
    for name in ("a.png", "b.png"):
        image(tmp_path / "JPEGImages" / name)
    data = read_voc(tmp_path)
    assert list(boxes(data)) == ["JPEGImages/b.png"]
    assert said(data)["Annotations/a.xml"] == ("rejected", "several images for it: a.jpg, a.png")


def test_one_image_in_several_files(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.xml", voc([("dog", corners(2, 2, 9, 9))], filename="a.jpg"))
    text(tmp_path / "b.xml", voc([("cat", corners(2, 2, 9, 9))], filename="a.jpg"))
    data = read_voc(tmp_path)
    assert [name for name, _ in boxes(data)["a.jpg"]] == ["dog", "cat"]
    assert said(data)["a.jpg"] == ("repaired", "annotated in several files: their boxes were joined")


def test_one_spelling_for_one_name(tmp_path: Path) -> None:
    objects = [("caf\u00e9", corners(2, 2, 9, 9)), (" cafe\u0301 ", corners(2, 2, 9, 8)), ("10", corners(1, 1, 5, 5))]
    data = read_voc(folder(tmp_path, {"a": voc([*objects, ("9", corners(1, 1, 5, 5))])}))
    assert data.classes == ("9", "10", "caf\u00e9")


def test_encodings(tmp_path: Path) -> None:
    content = '<?xml version="1.0" encoding="{}"?>' + voc([("été", corners(2, 2, 9, 9))])
    for stem, encoding in (("a", "utf-16"), ("b", "iso-8859-1"), ("c", "nobodys")):
        image(tmp_path / f"{stem}.jpg")
        bytes_ = content.format(encoding).encode("utf-8" if encoding == "nobodys" else encoding)
        (tmp_path / f"{stem}.xml").write_bytes(bytes_)
    assert recognises_voc(tmp_path)
    data = read_voc(tmp_path)
    assert list(boxes(data)) == ["a.jpg", "b.jpg"] and data.classes == ("été",)
    assert "c.jpg" in said(data)


def test_nothing_to_read(tmp_path: Path) -> None:
    image(tmp_path / "cat/a.jpg")
    assert not recognises_voc(tmp_path)
    with pytest.raises(DataError, match="no annotations") as caught:
        read_voc(tmp_path)
    assert "Annotations" in caught.value.expected
    text(tmp_path / "cat/a.xml", voc([("dog", corners(9, 9, 2, 2))]))
    with pytest.raises(DataError, match=r"no usable box.*none of its boxes"):
        read_voc(tmp_path)


def counting_from(root: Path, zeros: int, ones: int) -> Path:
    for first, n in ((0, zeros), (1, ones)):
        objects = [("dog", corners(first, 5, 20 + k, 30)) for k in range(n)]
        folder(root, {f"{first}": voc([*objects, ("cat", corners(5, 7, 40, 30))], size=(40, 30))})
    return root


def test_counting_from_0(tmp_path: Path) -> None:
    data = read_voc(counting_from(tmp_path, 4, 3))
    assert boxes(data)["JPEGImages/0.jpg"][0] == ("dog", [0, 5, 20, 30])
    assert boxes(data)["JPEGImages/1.jpg"][-1] == ("cat", [5, 7, 40, 30])
    words = "boxes begin at 0 (4) rather than at 1 (3): taken as counted from 0, not from 1"
    assert said(data) == {"all boxes": ("repaired", words)}


def test_a_0_that_is_a_slip(tmp_path: Path) -> None:
    data = read_voc(counting_from(tmp_path, 3, 3))
    assert boxes(data)["JPEGImages/0.jpg"][0] == ("dog", [0, 4, 20, 30])
    assert boxes(data)["JPEGImages/1.jpg"][-1] == ("cat", [4, 6, 40, 30])
    assert set(said(data)) == {f"JPEGImages/0.jpg#{k}" for k in (1, 2, 3)}


@pytest.mark.parametrize("above", ["ImageSets/Main", "imagesets/main", "ImageSets"])
def test_lists_of_other_names(tmp_path: Path, above: str) -> None:
    folder(tmp_path, {stem: voc([("dog", corners(2, 2, 9, 9))]) for stem in "abcd"})
    for name, content in (("Train", "a\n"), ("training", "d\n"), ("validation", "b\n"), ("Test", "c\n")):
        text(tmp_path / above / f"{name}.txt", content)
    data = read_voc(tmp_path)
    splits = {Path(item.id).stem: item.split for item in data.items}
    assert splits == {"a": "train", "b": "validation", "c": "test", "d": "train"} and said(data) == {}


@pytest.mark.parametrize("above", ["", "VOCdevkit"])
def test_several_years(tmp_path: Path, above: str) -> None:
    """A name may stand for one image in one year and for another in the next."""
    for year, part in (("VOC2007", "test"), ("VOC2012", "trainval")):
        root = folder(tmp_path / above / year, {stem: voc([("dog", corners(2, 2, 9, 9))]) for stem in "ab"})
        lists(root, **{part: "a\nb\n" if year == "VOC2012" else "a\n"})
    data = read(tmp_path)
    prefix = f"{above}/" if above else ""
    assert data.format == "voc" and {item.id: item.split for item in read_voc(tmp_path).items} == {
        f"{prefix}VOC2007/JPEGImages/a.jpg": "test",
        f"{prefix}VOC2012/JPEGImages/a.jpg": "train",
        f"{prefix}VOC2012/JPEGImages/b.jpg": "train",
    }
    assert said(data)[f"{prefix}VOC2007/JPEGImages/b.jpg"] == ("rejected", "in no split list")
