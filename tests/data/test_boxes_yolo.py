"""YOLO labels: data.yaml and its quirks, rows of every kind, and a word on every box."""

import os
from pathlib import Path

import pytest
from tests.data.boxes import boxes, image, said, text

from visto.data import read
from visto.data.yolo_labels import read_yolo
from visto.errors import DataError
from visto.testing import check_dataset

YAML = "train: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n"
ROW = "1 0.5 0.5 0.5 0.5\n"


def split_set(root: Path, yaml: str = YAML, parts: tuple[str, ...] = ("train", "val")) -> Path:
    for part in parts:
        image(root / f"images/{part}/1.jpg")
        text(root / f"labels/{part}/1.txt", ROW)
    return text(root / "data.yaml", yaml)


def test_a_data_yaml(tmp_path: Path) -> None:
    file = split_set(tmp_path)
    data = read(tmp_path)
    check_dataset(data)
    assert (data.task, data.format, data.classes) == ("detection", "yolo", ("dog",))
    assert boxes(data)["images/train/1.jpg"] == [("dog", [10, 7.5, 30, 22.5])]
    assert data.declared == {"train", "validation"}
    assert said(data) == {"class cat": ("rejected", "a class without a usable box in any split, left out")}
    assert boxes(read(file)) == boxes(data)


def rows(root: Path, content: str, yaml: str = "train: images\nnames: {0: cat, 2: dog}\n") -> Path:
    image(root / "images/1.jpg")
    text(root / "labels/1.txt", content)
    text(root / "data.yaml", yaml)
    return root


def test_every_row_has_a_word(tmp_path: Path) -> None:
    good = [f"0 0.5 0.5 0.{k} 0.5" for k in range(11, 30)]  # so many that the bad ones are not most
    lines = [
        *good,
        *("0 0.5 0.5 0.5 0.5 0.93", "0 0.5 0.5 0.5 0.5", "2.0 0.1 0.5 0.5 0.5", "", "0 1.2 0.5 0.1 0.1"),
        *("0 120 90 40 20", "0 50 50 25 25", "1 0.5 0.5 0.5 0.5", "x 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5"),
        *(
            "0 0.5 0.5 -0.5 0.5",
            "0 0.5 0.5 0 0.5",
            "0 0.5 nan 0.5 0.5",
            "0 0.1 0.1 0.6 0.1 0.6 0.7",
            "0 0.995 0.5 0.01 1.0",
        ),
        *("0 0.5 0.5 0.5 0.5 0.5 0.5 0.5", "0.5 0.5 0.5 0.5 0.5", "nan 0.5 0.5 0.5 0.5", "0 1.005 0.5 0.1 0.5"),
    ]
    data = read_yolo(rows(tmp_path, "\r\n".join(lines)))
    numbers, n = "fractions of the image are expected", len(good)
    found = {id.removeprefix("images/1.jpg#"): word for id, word in said(data).items()}
    assert found == {
        str(n + 2): ("rejected", "a duplicate: the same box and class was there before"),
        str(n + 3): ("repaired", "reaches past the image: clipped to it"),
        str(n + 4): ("rejected", f"a number outside 0–1: it looks like percent or pixels, {numbers}"),
        str(n + 5): ("rejected", f"a number outside 0–1: it looks like pixels, {numbers}"),
        str(n + 6): ("rejected", f"a number outside 0–1: it looks like percent or pixels, {numbers}"),
        str(n + 7): ("rejected", "its class is not among the 2 names"),
        str(n + 8): ("rejected", "a row with something that is no number"),
        str(n + 9): ("rejected", "a row of 4 numbers, neither a box (5) nor an outline"),
        str(n + 10): ("rejected", "inverted: an edge at the far side of its opposite"),
        str(n + 11): ("rejected", "no area"),
        str(n + 12): ("rejected", "a number that is not finite"),
        str(n + 13): ("repaired", "an outline: the box around it was taken"),
        str(n + 15): ("rejected", "a row of 8 numbers, neither a box (5) nor an outline"),
        str(n + 16): ("rejected", "its class is not among the 2 names"),
        str(n + 17): ("rejected", "its class is not among the 2 names"),
        str(n + 18): ("repaired", "reaches past the image: clipped to it"),
    }
    assert ("cat", [4, 3, 24, 21]) in [(name, [round(v, 3) for v in box]) for name, box in boxes(data)["images/1.jpg"]]


def test_points_after_a_box_are_no_outline(tmp_path: Path) -> None:
    rows(tmp_path, "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 1\n", "train: images\nnames: [cat]\nkpt_shape: [2, 3]\n")
    data = read_yolo(tmp_path)
    assert boxes(data)["images/1.jpg"] == [("cat", [10, 7.5, 30, 22.5])] and said(data) == {}


@pytest.mark.parametrize("row", ["0 20 15 10 10", "0 50 50 20 20", "0 320 240 64 48"])
def test_pixels_and_percent_are_never_trained_on(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=r"1 of the 1 boxes .* outside 0–1; the first: images/1.jpg: 0") as caught:
        read_yolo(rows(tmp_path, row))
    assert "0–1" in caught.value.expected and "pixels or percent" in caught.value.hint


def test_background(tmp_path: Path) -> None:
    split_set(tmp_path)
    image(tmp_path / "images/train/empty.jpg")
    text(tmp_path / "labels/train/empty.txt", "\n")
    image(tmp_path / "images/train/bare.jpg")
    image(tmp_path / "images/train/odd.jpg")
    (tmp_path / "labels/train/odd.txt").write_bytes(b"\xff\xfe")
    image(tmp_path / "images/more.jpg")
    text(tmp_path / "labels/train/lost.txt", ROW)
    text(tmp_path / "README.txt", "hello")
    data = read_yolo(tmp_path)
    assert boxes(data)["images/train/empty.jpg"] == [] == boxes(data)["images/train/bare.jpg"]
    assert said(data) == {
        "class cat": ("rejected", "a class without a usable box in any split, left out"),
        "images/train/bare.jpg": ("repaired", "no label file: taken as background"),
        "images/train/odd.jpg": ("rejected", "its labels odd.txt cannot be used: not UTF-8"),
        "images/more.jpg": ("rejected", "an image that data.yaml does not name"),
        "labels/train/lost.txt": ("rejected", "a label file without image"),
        "README.txt": ("rejected", "not an image by its name (.txt)"),
    }


def test_no_label_file_at_all(tmp_path: Path) -> None:
    image(tmp_path / "images/train/1.jpg")
    with pytest.raises(DataError, match="none of the 1 images") as caught:
        read_yolo(text(tmp_path / "data.yaml", "train: images/train\nnames: [cat]"))
    assert "labels/a.txt" in caught.value.expected


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: [images/val]\ntest:\nnames:\n  0: cat\n  1: dog\n",
        "path: ../datasets/elsewhere\ntrain: ./images/train/\nvalid: images/val\nnames: [cat, dog]\n",
        "train: ../images/train\nval: ../images/val\ntest: ../images/test\nnames: ['cat', 'dog']\nnc: 2\n",
        "train: train.txt\nval: images/val\nnames: [cat, dog]\ndownload: http://x/\n",
    ],
)
def test_ways_to_name_the_images(tmp_path: Path, yaml: str) -> None:
    split_set(tmp_path, yaml)
    text(tmp_path / "train.txt", "./images/train/1.jpg\n\nimages\\train\\gone.jpg\n")
    data = read_yolo(tmp_path)
    assert {i.id: i.split for i in data.items} == {"images/train/1.jpg": "train", "images/val/1.jpg": "validation"}
    found = said(data)
    if "test: ../" in yaml:
        assert found["data.yaml: test"] == ("rejected", "no such folder or list: ../images/test")
    if "train.txt" in yaml:
        assert found["train.txt:3: images/train/gone.jpg"] == ("rejected", "no such file")


def test_roboflow(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        image(tmp_path / part / "images/1.jpg")
        text(tmp_path / part / "labels/1.txt", ROW)
    text(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [a, b]")
    data = read(tmp_path)
    assert data.declared == {"train", "validation", "test"} and data.format == "yolo"
    assert [i.id for i in data.items] == ["train/images/1.jpg", "valid/images/1.jpg", "test/images/1.jpg"]


def test_one_folder_for_two_splits(tmp_path: Path) -> None:
    split_set(tmp_path, "train: images/train\nval: images/train\nnames: [cat, dog]")
    data = read_yolo(tmp_path)
    assert data.declared == {"train"}
    assert said(data)["images/train/1.jpg"] == ("repaired", "in several splits: taken for train")


@pytest.mark.parametrize("names", ["classes.txt", "obj.names"])
@pytest.mark.parametrize("flat", [True, False])
def test_without_a_data_yaml(tmp_path: Path, names: str, flat: bool) -> None:
    text(tmp_path / names, "cat\ndog\n")
    image(tmp_path / ("1.jpg" if flat else "images/val/1.jpg"))
    text(tmp_path / ("1.txt" if flat else "labels/val/1.txt"), ROW)
    if not flat:
        image(tmp_path / "images/train/1.jpg")
        text(tmp_path / "labels/train/1.txt", ROW)
    data = read(tmp_path)
    assert data.format == "yolo" and data.declared == (frozenset() if flat else {"train", "validation"})
    assert set(said(data)) == {"class cat"}


def test_words_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    data = read_yolo(rows(tmp_path, "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.2 0.2", "train: images\nnames: [no, 1.50]\n"))
    assert data.classes == ("no", "1.50")


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    call = f"!!python/object/apply:os.mkdir [{tmp_path}/made]"
    data = read_yolo(rows(tmp_path, "0 0.5 0.5 0.5 0.5", f"train: images\nnames: {call}\n"))
    assert data.classes == (f"{tmp_path}/made",) and not (tmp_path / "made").exists()


def test_classes_of_one_name(tmp_path: Path) -> None:
    data = read_yolo(rows(tmp_path, "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.2 0.2", "train: images\nnames: [cat, cat]\n"))
    assert data.classes == ("cat",) and len(boxes(data)["images/1.jpg"]) == 2
    assert said(data) == {"data.yaml: class 1": ("repaired", "called cat like class 0: taken for one class")}


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: images\nnames: [cat\n", "line 3 of .* is not YAML"),
        ("- names", "holds no keys"),
        ("train: images\nnames: [[cat]]\n", "a class in"),
        ("train: images\nnames: {a: cat}\n", "without a number or a name: a"),
        ("train: images\nnc: 2\n", "no names of classes"),
        ("train: images\nnc: 3\nnames: [cat]\n", "nc is 3 .* 1 names"),
        ("train: gone\nnames: [cat]\n", "train of .* is gone, which is not there"),
        ("names: [cat]\n", "names no images"),
        ("train: {a: b}\nnames: [cat]\n", "which is not there"),
        ("train: empty\nnames: [cat]\n", "no images where"),
        ("[" * 5000, "nested too deeply|not YAML|holds no keys"),
    ],
)
def test_bad_yaml(tmp_path: Path, yaml: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    image(tmp_path / "images/1.jpg")
    with pytest.raises(DataError, match=words) as caught:
        read_yolo(text(tmp_path / "data.yaml", yaml))
    assert caught.value.expected or caught.value.hint


def test_no_names_anywhere(tmp_path: Path) -> None:
    image(tmp_path / "images/1.jpg")
    text(tmp_path / "labels/1.txt", ROW)
    with pytest.raises(DataError, match="no names of classes"):
        read(tmp_path)


def test_class_folders_with_a_list_of_their_names_stay_such(tmp_path: Path) -> None:
    image(tmp_path / "images/cat/1.jpg")
    for name in ("classes.txt", "images.txt"):
        text(tmp_path / name, "cat\n")
    with pytest.raises(DataError, match="the only folders of images are called images") as caught:
        read(tmp_path)
    assert "for classes give the folder in which" in caught.value.hint
    assert read(tmp_path / "images").format == "class-folders"


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.yaml")
    image(tmp_path / "cat/1.jpg")
    assert read(tmp_path).format == "class-folders"


@pytest.mark.parametrize("beside", ["names: [cat, dog]\n", "test: images\nnames: [cat]\n", "train: x\n"])
def test_a_yaml_of_something_else(tmp_path: Path, beside: str) -> None:
    for name in ("cat", "dog"):
        image(tmp_path / name / "1.jpg")
    text(tmp_path / "settings.yaml", beside)
    assert read(tmp_path).format == "class-folders"


def test_label_studio(tmp_path: Path) -> None:
    image(tmp_path / "images/1.jpg")
    text(tmp_path / "labels/1.txt", ROW)
    text(tmp_path / "classes.txt", "cat\ndog\n")
    text(tmp_path / "notes.json", '{"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}], "info": {}}')
    data = read(tmp_path)
    assert data.format == "yolo" and data.classes == ("dog",)


@pytest.mark.parametrize("gone", ["val", "test"])
def test_a_part_that_is_not_there(tmp_path: Path, gone: str) -> None:
    """../valid/images must not become images/, which is something else."""
    image(tmp_path / "train/images/1.jpg")
    text(tmp_path / "train/labels/1.txt", ROW)
    image(tmp_path / "images/other.jpg")
    text(tmp_path / "data.yaml", f"train: ../train/images\n{gone}: ../{gone}/images\nnames: [a, b]")
    data = read(tmp_path)
    assert data.declared == {"train"} or not data.declared
    assert said(data)[f"data.yaml: {gone}"] == ("rejected", f"no such folder or list: ../{gone}/images")
    assert [item.id for item in data.items] == ["train/images/1.jpg"]


def test_a_train_part_that_is_not_there(tmp_path: Path) -> None:
    image(tmp_path / "valid/images/1.jpg")
    text(tmp_path / "valid/labels/1.txt", ROW)
    text(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [a, b]")
    with pytest.raises(DataError, match=r"train of .* is \.\./train/images, which is not there"):
        read(tmp_path)


@pytest.mark.parametrize("prefix", ["/content/bees/", "C:\\\\data\\\\bees/", "datasets/bees/"])
def test_paths_of_another_machine(tmp_path: Path, prefix: str) -> None:
    split_set(tmp_path, f"train: {prefix}images/train\nval: images/val\nnames: [cat, dog]\n")
    data = read_yolo(tmp_path)
    assert {i.id: i.split for i in data.items} == {"images/train/1.jpg": "train", "images/val/1.jpg": "validation"}
    [(id, word)] = [(id, word) for id, word in said(data).items() if id.startswith("data.yaml: train")]
    assert word == ("repaired", "a path of another place: its leading folders were dropped") and "images/train" in id


def test_lists_of_another_machine(tmp_path: Path) -> None:
    split_set(tmp_path, "train: train.txt\nval: train.txt\nnames: [cat, dog]\n")
    image(tmp_path / "images/train/2.jpg")
    text(
        tmp_path / "train.txt", "data/images/train/1.jpg\n/content/images/train/2.jpg\n/content/3.jpg\n//\n" + "z" * 300
    )
    data = read(text(tmp_path / "data.yaml", "train: train.txt\nnames: [cat, dog]\n"))
    assert [i.id for i in data.items] == ["images/train/1.jpg", "images/train/2.jpg"]
    found = said(data)
    words = "paths of another place, as data/images/train/1.jpg: their leading folders were dropped"
    assert found["train.txt"] == ("repaired", words)
    assert found["train.txt:3: /content/3.jpg"] == ("rejected", "no such file")
    assert found["train.txt:4: //"] == ("rejected", "no such file")
    assert found[f"train.txt:5: {'z' * 300}"] == ("rejected", "no such file")


def test_darknet(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        image(tmp_path / f"obj_{part}_data/1.jpg")
        text(tmp_path / f"obj_{part}_data/1.txt", ROW)
        text(tmp_path / f"{part}.txt", f"data/obj_{part}_data/1.jpg\n")
    text(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    with pytest.raises(DataError, match="no names of classes"):
        read(tmp_path)
    text(tmp_path / "obj.names", "cat\ndog\n")
    data = read_yolo(tmp_path)
    assert read(tmp_path).format == "yolo" and data.classes == ("dog",)
    assert {i.id: i.split for i in data.items} == {
        "obj_train_data/1.jpg": "train",
        "obj_valid_data/1.jpg": "validation",
    }


@pytest.mark.parametrize("layout", ["images/{}2017/1.jpg", "{}/images/1.jpg", "images/{}/1.jpg"])
def test_split_folders_without_a_yaml(tmp_path: Path, layout: str) -> None:
    for part in ("train", "val"):
        place = image(tmp_path / layout.format(part))
        label = str(place.relative_to(tmp_path)).replace("images", "labels").replace(".jpg", ".txt")
        text(tmp_path / label, ROW)
    with pytest.raises(DataError, match="no names of classes") as caught:
        read(tmp_path)
    assert "classes.txt" in caught.value.hint
    text(tmp_path / "data.yaml", "names: [cat, dog]\n")
    assert read(tmp_path).classes == ("dog",)
    (tmp_path / "data.yaml").unlink()
    text(tmp_path / "classes.txt", "cat\ndog\n")
    data = read_yolo(tmp_path)
    assert {i.id: i.split for i in data.items} == {
        layout.format("train"): "train",
        layout.format("val"): "validation",
    }


def test_only_the_folder_given_is_walked(tmp_path: Path) -> None:
    root = tmp_path / "bees"
    split_set(root, "path: ..\ntrain: bees/images/train\nval: more/images\nnames: [cat, dog]\n", ("train",))
    image(tmp_path / "more/images/1.jpg")
    text(tmp_path / "more/images/notes.md", "hello")
    image(tmp_path / "photos/private.jpg")
    image(root / "extra.jpg")
    data = read(root)
    assert [i.id for i in data.items] == ["bees/images/train/1.jpg", "more/images/1.jpg"]
    assert said(data) == {
        "class cat": ("rejected", "a class without a usable box in any split, left out"),
        "bees/extra.jpg": ("rejected", "an image that data.yaml does not name"),
        "more/images/1.jpg": ("repaired", "no label file: taken as background"),
        "more/images/notes.md": ("rejected", "not an image by its name (.md)"),
    }
