"""COCO: layouts, ids of every kind, categories, and a word on every annotation."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.boxes import boxes, image, said, text

from visto.data import read
from visto.data.coco import read_coco, recognises_coco
from visto.errors import DataError
from visto.testing import check_dataset
from visto.types import Boxes

BOX = [1, 2, 10, 20]


def instances(
    images: list[Any], annotations: list[Any], categories: list[Any] | None = None, *, root: Path, name: str = "a.json"
) -> Path:
    """A COCO file; images as (id, file_name), annotations as (image_id, category_id, bbox), or as they are."""
    content = {
        "info": {"year": 2017},
        "images": [{"id": i[0], "file_name": i[1]} if isinstance(i, tuple) else i for i in images],
        "annotations": [
            {"id": k, "image_id": a[0], "category_id": a[1], "bbox": a[2]} if isinstance(a, tuple) else a
            for k, a in enumerate(annotations)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}] if categories is None else categories,
    }
    return text(root / name, json.dumps(content))


def test_boxes_crowds_and_areas(tmp_path: Path) -> None:
    image(tmp_path / "x/1.png")
    outline = [[1, 2, 11, 2, 11, 22]]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1.5, 2, 10, 20], "area": 50.5, "segmentation": outline},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1, "area": 0},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [3, 3, 5, 5], "ignore": 1},
    ]
    file = instances([{"id": 7, "file_name": "x/1.png", "width": 40, "height": 30}], annotations, root=tmp_path)
    data = read_coco(file)
    check_dataset(read(file))
    assert (data.task, data.format, data.classes, data.name) == ("detection", "coco", ("cat", "dog"), "a")
    assert boxes(data) == {"x/1.png": [("dog", [1.5, 2, 11.5, 22]), ("cat", [0, 0, 40, 30]), ("cat", [3, 3, 8, 8])]}
    target = data.items[0].target
    assert isinstance(target, Boxes) and target.ignored is not None and target.crowd is not None
    assert target.ignored.tolist() == [False, True, True] and target.crowd.tolist() == [False, True, False]
    assert target.areas is not None and target.areas.tolist() == [50.5, 1200, 25]
    assert [(e.id, e.status) for e in data.ledger] == [(f"x/1.png#{k}", "kept") for k in (1, 2, 3)]


def test_every_annotation_has_a_word(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        image(tmp_path / name)
    annotations = [
        (1, 1, BOX),
        (1, 1, BOX),
        (1, 2, BOX),
        (1, 1, [-1, 2, 10, 20]),
        (1, 1, [40, 2, 10, 20]),
        (1, 1, [9, 9, -3, 3]),
        (1, 1, [9, 9, 0, 3]),
        (1, 1, [9, 9, float("nan"), 3]),
        (1, 1, [9, 9, 10**400, 3]),
        (1, 1, [9, 9, "3", 3]),
        (1, 1, [9, 9, 3]),
        (1, 1, None),
        (1, 9, BOX),
        (1, None, BOX),
        (9, 1, BOX),
        (None, 1, BOX),
        "x",
        {"id": 0, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
    ]
    images = [(1, "1.png"), (2, "2.png"), (3, "gone.png"), 5, {"id": 8}, {"file_name": "3.png"}]
    data = read_coco(instances(images, annotations, root=tmp_path))
    found = said(data)
    assert {id.removeprefix("1.png"): word for id, word in found.items()} == {
        "#2": ("rejected", "a duplicate: the same box and class was there before"),
        "#4": ("repaired", "reaches past the image: clipped to it"),
        "#5": ("rejected", "outside the image"),
        "#6": ("rejected", "inverted: an edge at the far side of its opposite"),
        "#7": ("rejected", "no area"),
        **{f"#{k}": ("rejected", "a corner that is no finite number") for k in (8, 9, 10)},
        **{f"#{k}": ("rejected", "no bbox of four numbers") for k in (11, 12)},
        **{f"#{k}": ("rejected", "its category is not listed") for k in (13, 14)},
        "#15": ("repaired", "its annotation id is another's too: the id is ignored, the box kept"),
        **{f"a.json#{k}": ("rejected", "its image is not listed, or rejected") for k in (15, 16)},
        "a.json#17": ("rejected", "an annotation that is no object"),
        "gone.png": ("rejected", "no such file"),
        **{f"a.json: image {k}": ("rejected", "an image without id or file_name") for k in (4, 5, 6)},
    }
    assert boxes(data)["2.png"] == [] and len(boxes(data)["1.png"]) == 4


def test_ids_of_every_kind(tmp_path: Path) -> None:
    for k in range(3):
        image(tmp_path / f"{k}.png")
    names = [{"id": 90, "name": "z"}, {"id": "10", "name": " y "}, {"id": 9.0, "name": "x"}, {"id": 0, "name": "all"}]
    annotations = [("f0", 90, BOX), (10**20, "10", BOX), ("3", 9, BOX), ("f0", "9", BOX)]
    data = read_coco(instances([("f0", "0.png"), (10**20, "1.png"), (3, "2.png")], annotations, names, root=tmp_path))
    assert data.classes == ("x", "y", "z")
    assert {id: [name for name, _ in found] for id, found in boxes(data).items()} == {
        "0.png": ["z", "x"],
        "1.png": ["y"],
        "2.png": ["x"],
    }
    assert said(data) == {"class all": ("rejected", "a class without a usable box in any split, left out")}


def test_categories_of_one_name(tmp_path: Path) -> None:
    image(tmp_path / "1.png")
    names = [{"id": 1, "name": "cat"}, {"id": 5, "name": " cat"}, {"id": 1, "name": "cat"}, {"id": 6}]
    data = read_coco(instances([(1, "1.png")], [(1, 1, BOX), (1, 5, BOX), (1, 5, [1, 1, 4, 4])], names, root=tmp_path))
    assert data.classes == ("cat",) and len(boxes(data)["1.png"]) == 2
    assert said(data) == {
        "a.json: category 5": ("repaired", "called cat like category 1: taken for one class"),
        "a.json: category 4": ("rejected", "a category without id or name"),
        "1.png#2": ("rejected", "a duplicate: the same box and class was there before"),
    }


def test_images_listed_twice(tmp_path: Path) -> None:
    image(tmp_path / "1.png")
    data = read_coco(instances([(1, "1.png"), (2, "1.png")], [(1, 1, BOX), (2, 2, BOX)], root=tmp_path))
    assert len(boxes(data)["1.png"]) == 2
    assert said(data) == {"1.png": ("repaired", "listed more than once: its boxes were joined")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1 of .*a.json is not JSON"),
        ('{"images": [\n{"id": 1,}]}', "line 2 of .*a.json is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no object"),
        ('{"images": [], "annotations": []}', "no list of categories"),
        ('{"images": {}, "annotations": [], "categories": []}', "no list of images"),
        ('{"images": [], "annotations": [], "categories": []}', "no usable box"),
        (
            '{"images": [{"id": 1, "file_name": "1.png"}, {"id": 1, "file_name": "2.png"}], "annotations": [],'
            '"categories": []}',
            "two images in .* have the id 1: 1.png and 2.png",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}',
            "two categories in .* have the id 3: a and b",
        ),
    ],
)
def test_bad_files(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_coco(text(tmp_path / "a.json", content))
    assert caught.value.expected or caught.value.hint


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("annotations/instances_{}2017.json", "{}2017/1.jpg"),
        ("annotations/instances_{}.json", "images/{}/1.jpg"),
        ("annotations/{}.json", "images/{}1.jpg"),
        ("{}/_annotations.coco.json", "{}/1.jpg"),
        ("{}.json", "{}/1.jpg"),
        ("{}/labels.json", "{}/data/1.jpg"),
    ],
)
def test_split_layouts(tmp_path: Path, file: str, picture: str) -> None:
    for part in ("train", "val", "test"):
        place = image(tmp_path / picture.format(part))
        name = place.name
        instances([(1, name)], [(1, 1, BOX)], root=tmp_path, name=file.format(part))
    image(tmp_path / "more.jpg")
    text(tmp_path / "annotations/captions_train2017.json", '{"images": [], "annotations": []}')
    data = read(tmp_path)
    check_dataset(data)
    assert data.format == "coco" and data.declared == {"train", "validation", "test"}
    assert {i.id: i.split for i in data.items} == {
        picture.format("train"): "train",
        picture.format("val"): "validation",
        picture.format("test"): "test",
    }
    left = {"more.jpg", "annotations/captions_train2017.json", "class dog"}
    assert set(said(data)) == left


def test_a_file_by_its_own_name_is_no_split(tmp_path: Path) -> None:
    image(tmp_path / "val2017/1.jpg")
    file = instances([(1, "1.jpg")], [(1, 1, BOX)], root=tmp_path, name="annotations/instances_val2017.json")
    data = read_coco(file)
    assert data.declared == frozenset() and [i.id for i in data.items] == ["val2017/1.jpg"]


def test_a_split_for_some_files_only(tmp_path: Path) -> None:
    for name in ("train.json", "rest.json"):
        instances([], [], root=tmp_path, name=name)
    with pytest.raises(DataError, match=r"rest\.json"):
        read_coco(tmp_path)


def test_ids_are_each_files_own(tmp_path: Path) -> None:
    for part, id in (("train", 1), ("valid", 2)):
        image(tmp_path / part / f"{part}.jpg")
        categories = [{"id": id, "name": "cat"}, {"id": 3 - id, "name": "dog"}]
        name = f"{part}/_annotations.coco.json"
        instances([(1, f"{part}.jpg")], [(1, 1, BOX)], categories, root=tmp_path, name=name)
    assert boxes(read_coco(tmp_path)) == {
        "train/train.jpg": [("cat", [1, 2, 11, 22])],
        "valid/valid.jpg": [("dog", [1, 2, 11, 22])],
    }


def test_one_image_in_two_splits(tmp_path: Path) -> None:
    image(tmp_path / "images/1.jpg")
    for part in ("test", "train"):
        instances([(1, "1.jpg")], [(1, 1, BOX)], root=tmp_path, name=f"annotations/{part}.json")
    data = read_coco(tmp_path)
    assert [i.split for i in data.items] == ["train"] and len(boxes(data)["images/1.jpg"]) == 1
    assert said(data)["images/1.jpg"] == ("repaired", "listed in several splits: its boxes were joined, in train")


def test_a_file_without_any_annotation_is_unlabelled(tmp_path: Path) -> None:
    image(tmp_path / "train/1.jpg")
    image(tmp_path / "test/2.jpg")
    instances([(1, "1.jpg")], [(1, 1, BOX)], root=tmp_path, name="train/a.json")
    instances([(1, "2.jpg")], [], root=tmp_path, name="test/a.json")
    data = read_coco(tmp_path)
    assert list(boxes(data)) == ["train/1.jpg"]
    assert said(data)["test/2.jpg"] == ("rejected", "no annotation in its whole file: what it shows is unknown")


def test_paths_of_other_systems_and_out_of_the_folder(tmp_path: Path) -> None:
    image(tmp_path / "set/images/1.jpg")
    image(tmp_path / "2.jpg")
    names = [(1, "images\\1.jpg"), (2, "../2.jpg"), (3, "x\0y"), (4, f"{tmp_path}/2.jpg")]
    data = read_coco(instances(names, [(k, 1, BOX) for k in (1, 2, 3, 4)], root=tmp_path / "set"))
    assert [i.id for i in data.items] == ["images/1.jpg", "../2.jpg", f"{tmp_path}/2.jpg"]
    assert said(data)["x\0y"] == ("rejected", "no such file")


def test_recognised_cheaply(tmp_path: Path) -> None:
    text(tmp_path / "settings.json", '{"images": 3}')
    image(tmp_path / "cat/1.jpg")
    assert not recognises_coco(tmp_path) and not recognises_coco(tmp_path / "cat/1.jpg")
    assert read(tmp_path).format == "class-folders"


def test_keys_far_from_the_beginning(tmp_path: Path) -> None:
    image(tmp_path / "cat/1.jpg")
    images = [(1, "cat/1.jpg"), *[(k, "x" * 200) for k in range(2, 9000)]]
    instances(images, [(1, 1, BOX)], root=tmp_path)
    assert recognises_coco(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"categories": [{"id": 0, "name": "cat"}], "info": {"year": 2024}},
        {"images": [{"id": 1, "file_name": "cat/1.jpg"}], "categories": [{"id": 0, "name": "cat"}]},
        {
            "images": [{"id": 1, "file_name": "cat/1.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 0}],
            "categories": [{"id": 0, "name": "cat"}],
        },
    ],
)
@pytest.mark.parametrize("below", ["", "train2019"])
def test_class_folders_with_such_a_file_beside_them_stay_such(
    tmp_path: Path, content: dict[str, Any], below: str
) -> None:
    for name in ("cat", "dog"):
        image(tmp_path / below / name / "1.jpg")
    text(tmp_path / "train2019.json", json.dumps(content))
    assert not recognises_coco(tmp_path) and read(tmp_path).format == "class-folders"


def test_a_file_without_boxes_and_no_class_folders(tmp_path: Path) -> None:
    image(tmp_path / "train2017/1.jpg")
    instances([(1, "1.jpg")], [{"id": 1, "image_id": 1, "category_id": 1}], root=tmp_path, name="train2017.json")
    with pytest.raises(DataError, match="none of its boxes can be used"):
        read(tmp_path)
