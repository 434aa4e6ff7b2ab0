"""Units, sizes and turns: boxes are never trained on where they do not fit the image. And the split of images."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.data.boxes import boxes, corners, image, said, text, voc

from visto.data import read
from visto.data.box_ledger import split_of_file
from visto.data.decode import decode
from visto.errors import DataError
from visto.testing import check_dataset

HEADER = "image,class,xmin,ymin,xmax,ymax"


def listed(root: Path, rows: list[str], header: str = HEADER) -> Path:
    return text(root / "boxes.csv", "\n".join([header, *rows]) + "\n")


def annotated(
    root: Path, size: tuple[int, int] | None, *, orientation: int = 0, real: tuple[int, int] = (40, 30)
) -> Path:
    """An image with one box around its left upper 10×20 pixels, as annotated at ``size``."""
    image(root / "a.jpg", *real, orientation=orientation)
    text(root / "a.xml", voc([("dog", corners(1, 1, 10, 20))], size=size))
    return root


@pytest.mark.parametrize("unit", ["voc", "csv", "coco"])
def test_fractions_are_not_pixels(tmp_path: Path, unit: str) -> None:
    image(tmp_path / "a.jpg", 640, 480)
    if unit == "voc":
        text(tmp_path / "a.xml", voc([("dog", corners(0.1, 0.2, 0.5, 0.6)), ("dog", corners(0, 0, 1, 1))]))
    elif unit == "csv":
        listed(tmp_path, ["a.jpg,dog,0.1,0.2,0.5,0.6", "a.jpg,dog,0,0,1,1"])
    else:
        annotations = [{"image_id": 1, "category_id": 1, "bbox": [0.1, 0.2, 0.3, 0.4]}]
        content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations}
        text(tmp_path / "a.json", json.dumps({**content, "categories": [{"id": 1, "name": "dog"}]}))
    with pytest.raises(DataError, match=r"boxes in .* lie within 0–1; the first: a\.jpg#1 \(0\.1, 0\.2") as caught:
        read(tmp_path)
    assert caught.value.expected == "boxes in pixels" and "fractions" in caught.value.hint


def test_a_few_fractions_are_rejected(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg", 640, 480)
    data = read(
        listed(tmp_path, ["a.jpg,a,0.1,0.2,0.5,0.6", "a.jpg,a,10,20,50,60", "a.jpg,a,0,0,1,1", "a.jpg,b,9,9,20,20"])
    )
    assert said(data) == {"a.jpg#1": ("rejected", "within 0–1: it looks like fractions of the image, not pixels")}


def percent(n: int, farthest: float) -> list[str]:
    return [f"{k % 3}.jpg,a,{k},{k},{farthest},{farthest}" for k in range(n)]


def test_percent_is_not_pixels(tmp_path: Path) -> None:
    for k in range(3):
        image(tmp_path / f"{k}.jpg", 400, 300)
    with pytest.raises(DataError, match=r"all 20 boxes in .* within 0–100, though 20 are in images of 300") as caught:
        read(listed(tmp_path, percent(20, 99.5)))
    assert "percent" in caught.value.hint


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (percent(5, 99), "all 5 boxes"),
        ([*percent(120, 95), "0.jpg,a,-0.5,1,100.5,50"], "all 121 boxes"),
        ([*percent(120, 95), "0.jpg,a,1,1,160,50"], "120 of the 121 boxes"),
    ],
)
def test_percent_with_slips_or_few(tmp_path: Path, rows: list[str], words: str) -> None:
    for k in range(3):
        image(tmp_path / f"{k}.jpg", 400, 300)
    with pytest.raises(DataError, match=f"{words} in .* lie within 0–100"):
        read(listed(tmp_path, rows))


@pytest.mark.parametrize(
    ("rows", "side"),
    [
        (percent(4, 99.5), 400),  # too few to say
        (percent(19, 98), 400),  # few, and nothing at the edge of 100
        ([f"{k % 2}.jpg,a,{k},{k},100,100" for k in range(19)], 400),  # few, in two images
        (percent(20, 89), 400),  # nothing near the edge of 100
        (percent(20, 99.5), 299),  # images where 100 is far
        ([*percent(20, 99.5), "0.jpg,a,1,1,102,50"], 400),
        ([f"{k % 3}.jpg,a,{k},{k},99,50" for k in range(20)], 400),  # a strip at the top
    ],
)
def test_small_boxes_are_no_percent(tmp_path: Path, rows: list[str], side: int) -> None:
    for k in range(3):
        image(tmp_path / f"{k}.jpg", side, side)
    assert len(read(listed(tmp_path, rows)))


@pytest.mark.parametrize("size", [None, (0, 0), (40, 30)])
def test_the_stated_size_agrees(tmp_path: Path, size: tuple[int, int] | None) -> None:
    data = read(annotated(tmp_path, size))
    assert boxes(data) == {"a.jpg": [("dog", [0, 0, 10, 20])]} and said(data) == {}


def test_annotated_at_another_size(tmp_path: Path) -> None:
    data = read(annotated(tmp_path, (24, 18), real=(96, 73)))
    assert boxes(data)["a.jpg"] == [("dog", [0, 0, 40, 73])]
    assert said(data) == {
        "a.jpg": ("repaired", "annotated as 24×18, the image is 96×73: boxes rescaled"),
        "a.jpg#1": ("repaired", "reaches past the image: clipped to it"),
    }


def test_a_stated_size_that_is_wrong(tmp_path: Path) -> None:
    """One image tells by its box; so many together that the others are believed no more either."""
    for k, far in enumerate((30, 30, 90, 110)):
        image(tmp_path / f"{k}.jpg", 120, 90)
        text(tmp_path / f"{k}.xml", voc([("dog", corners(11, 11, far, 30))], size=(60, 45)))
    data = read(tmp_path)
    assert [box for found in boxes(data).values() for _, box in found] == [
        [10, 10, far, 30] for far in (30, 30, 90, 110)
    ]
    words = "stated size is wrong: boxes fit the image as it is"
    assert said(data) == {f"{k}.jpg": ("repaired", words) for k in range(4)}


def test_a_stated_size_that_is_wrong_once(tmp_path: Path) -> None:
    for k in range(5):
        image(tmp_path / f"{k}.jpg", 120, 90)
        text(tmp_path / f"{k}.xml", voc([("dog", corners(11, 11, 30 if k else 90, 30))], size=(60, 45)))
    data = read(tmp_path)
    assert [box for found in boxes(data).values() for _, box in found] == [
        [10, 10, 90, 30],
        *([[20, 20, 60, 60]] * 4),
    ]
    words = {id: reason for id, (_, reason) in said(data).items()}
    assert words["0.jpg"].startswith("stated size is wrong") and words["1.jpg"].endswith("boxes rescaled")


@pytest.mark.parametrize(("n", "past"), [(20, 5), (20, 4), (19, 10)])
def test_many_boxes_past_their_images(tmp_path: Path, n: int, past: int) -> None:
    image(tmp_path / "a.jpg", 200, 200)
    rows = [f"a.jpg,dog,{k},100,{150 + k},{230 if k < past else 200}" for k in range(n)]
    file = listed(tmp_path, rows)
    if n < 20 or past < 5:
        assert len(read(file))
        return
    with pytest.raises(DataError, match=r"5 of the 20 boxes in .* the first: a\.jpg#1") as caught:
        read(file)
    assert "width and height" in caught.value.hint and "another size" in caught.value.hint


def test_nothing_usable_says_how_many(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        image(tmp_path / name)
    rows = ["1.png,cat,9,9,5,5", "2.png,cat,9,9,9,9", "3.png,,,,,"]
    with pytest.raises(DataError, match=r"\(1 images have none, 2 were rejected\); the first thing rejected: 1\.png"):
        read(listed(tmp_path, rows))


def test_areas_are_rescaled_too(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg", 80, 60)
    record = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}
    annotation = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 50}
    content = {"images": [record], "annotations": [annotation], "categories": [{"id": 1, "name": "dog"}]}
    target = read(text(tmp_path / "a.json", json.dumps(content))).items[0].target
    assert target is not None and getattr(target, "areas").tolist() == [200]  # noqa: B009


def test_another_image_than_was_annotated(tmp_path: Path) -> None:
    annotated(tmp_path, (30, 40))
    image(tmp_path / "b.jpg")
    text(tmp_path / "b.xml", voc([("dog", corners(1, 1, 10, 20))]))
    data = read(tmp_path)
    assert list(boxes(data)) == ["b.jpg"]
    assert said(data) == {
        "a.jpg": ("rejected", "annotated as 30×40, the image is 40×30"),
        "a.jpg#1": ("rejected", "its image is rejected"),
    }


@pytest.mark.parametrize(
    ("orientation", "box"),
    [(5, [0, 0, 20, 10]), (6, [10, 0, 30, 10]), (7, [10, 30, 30, 40]), (8, [0, 30, 20, 40])],
)
def test_annotated_before_the_image_was_turned(tmp_path: Path, orientation: int, box: list[float]) -> None:
    data = read(annotated(tmp_path, (40, 30), orientation=orientation))
    assert boxes(data)["a.jpg"] == [("dog", box)]
    words = "annotated as 40×30, the image is 30×40 upright: boxes turned with it"
    assert said(data)["a.jpg"] == ("repaired", words)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_as_pixels_do(tmp_path: Path, orientation: int) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.new("L", (40, 30))
    picture.paste(255, (3, 5, 13, 9))
    picture.save(tmp_path / "a.png", exif=exif)
    text(tmp_path / "a.xml", voc([("dog", corners(4, 6, 13, 9))], size=(40, 30)))
    [(_, box)] = boxes(read(tmp_path))["a.png"]
    white = decode((tmp_path / "a.png").read_bytes()).pixels[0].nonzero()
    assert box == [*white.amin(0).flip(0).tolist(), *(white.amax(0).flip(0) + 1).tolist()]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_annotated_upright(tmp_path: Path, orientation: int) -> None:
    size = (30, 40) if orientation > 4 else (40, 30)
    data = read(annotated(tmp_path, size, orientation=orientation))
    assert boxes(data)["a.jpg"] == [("dog", [0, 0, 10, 20])] and said(data) == {}


def test_images_are_split_by_the_classes_of_their_boxes(tmp_path: Path) -> None:
    rows = []
    for k in range(40):
        image(tmp_path / f"{k}.png")
        rows += [f"{k}.png,common,1,1,5,5", f"{k}.png,common,2,2,6,6"] if k < 36 else [f"{k}.png,,,,,"]
        rows += [f"{k}.png,rare,1,1,5,5"] if k % 10 == 0 else []
    data = read(listed(tmp_path, rows))
    check_dataset(data)
    assert Counter(i.split for i in data.items) == {"train": 28, "test": 6, "validation": 6}
    for part in (data.train, data.validation, data.test):
        inside = [i.target.classes for i in part.items if i.target is not None]
        assert {data.classes[c] for classes in inside for c in classes} == {"common", "rare"} and () in inside


def test_the_split_that_a_file_names(tmp_path: Path) -> None:
    assert split_of_file(tmp_path / "instances_val2017.json", tmp_path) == "validation"
    assert split_of_file(tmp_path / "Test/a.json", tmp_path) == "test"
    assert split_of_file(tmp_path / "constrained.json", tmp_path) is None
