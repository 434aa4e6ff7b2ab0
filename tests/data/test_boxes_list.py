"""Lists of boxes: headers of every school, and a word on every row."""

from pathlib import Path

import pytest
from tests.data.boxes import boxes, image, said, text

from visto.data import read
from visto.data.boxes_list import read_boxes_list, recognises_boxes_list
from visto.errors import DataError
from visto.testing import check_dataset
from visto.types import Boxes

HEADER = "image,class,xmin,ymin,xmax,ymax"


def listed(root: Path, *rows: str, header: str = HEADER, name: str = "boxes.csv") -> Path:
    return text(root / name, "\n".join([header, *rows]) + "\n")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,class,xmin,ymin,xmax,ymax", "1.png,cat,1,2,11,22"),
        ("\ufeffLabel;X0;Y0;X1;Y1;Path", "cat;1,0;2;11;22;1.png"),
        ("file,label,x1,y1,x2,y2", " 1.png , cat ,1, 2,11,22"),
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "1.png,40,30,cat,1,2,11,22"),
        ("image,class,x,y,w,h", "1.png,cat,1,2,10,20"),
        ("image,class,x,y,width,height", "1.png,cat,1,2,10,20"),
        (
            "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
            "cat,1,2,10,20,1.png,40,30",
        ),
        ("image_id,label,left,top,width,height", "1.png,cat,1,2,10,20"),
        ("image,class,left,top,right,bottom,width,height", "1.png,cat,1,2,11,22,40,30"),
        ("image,class,xmin,ymin,width,height", "1.png,cat,1,2,10,20"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax", "1,cat,1,11,2,22"),
        ("image,class_id,bbox", '1.png,cat,"[1, 2, 10.0, 20]"'),
        ("image;label;bbox", "1.png;cat;(1,2,10,20)"),
        ("image,width,height,class,x,y,w,h", "1.png,40,30,cat,1,2,10,20"),
        ("image,width,height,class,bbox_x,bbox_y,bbox_w,bbox_h", "1.png,40,30,cat,1,2,10,20"),
        ("image,width,height,class,x,y,bbox_x,bbox_y,bbox_width,bbox_height", "1.png,40,30,cat,9,9,1,2,10,20"),
        ("image,width,height,class,xmin,ymin,w,h", "1.png,40,30,cat,1,2,10,20"),
        ("path,label,xmin,xmax,ymin,ymax,note", '"1.png",cat,1,11,2,22'),
    ],
)
def test_headers(tmp_path: Path, header: str, row: str) -> None:
    image(tmp_path / "1.png")
    file = listed(tmp_path, row, header=header)
    data = read(file)
    check_dataset(data)
    assert (data.task, data.format, data.name) == ("detection", "boxes-list", "boxes")
    assert boxes(data) == {"1.png": [("cat", [1, 2, 11, 22])]} and said(data) == {}


@pytest.mark.parametrize("size", ["640,", ",480", "640,nan", "inf,480", "x,y", "0,480"])
def test_half_a_size_is_none(tmp_path: Path, size: str) -> None:
    image(tmp_path / "1.png")
    data = read(listed(tmp_path, f"1.png,cat,1,2,11,22,{size}", header=HEADER + ",width,height"))
    assert boxes(data) == {"1.png": [("cat", [1, 2, 11, 22])]} and said(data) == {}


@pytest.mark.parametrize("header", ["path,label", "path,label,width,height", "path,label,x,y", "class,x,y,w,h", ""])
def test_other_lists_are_left_alone(tmp_path: Path, header: str) -> None:
    image(tmp_path / "1.png")
    assert not recognises_boxes_list(listed(tmp_path, "1.png,cat", header=header))


def test_a_list_of_labels_stays_one(tmp_path: Path) -> None:
    image(tmp_path / "1.png")
    assert read(listed(tmp_path, "1.png,cat,40,30", header="path,label,width,height")).format == "list"


def test_every_row_has_a_word(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png", "more.png"):
        image(tmp_path / name)
    rows = [
        "1.png,dog,1,2,11,22",
        "1.png,dog,1,2,11,22",
        "1.png,cat,30,20,50,40",
        "1.png,cat,40,2,50,9",
        "1.png,cat,9,2,5,9",
        "1.png,cat,9,9,9,9",
        "1.png,cat,inf,2,5,9",
        "1.png,cat,,2,5,9",
        "1.png,cat,,,,",
        "1.png,,1,2,3,4",
        "2.png,,,,,",
        "gone.png,cat,1,2,3,4",
        ",cat,1,2,3,4",
        "",
        "3.png,cat,9,2,5,9",
        "../4.png,cat,1,2,3,4",
        "1.png,cat",
    ]
    image(tmp_path.parent / "4.png")
    listed(tmp_path, *rows)
    data = read(tmp_path)
    assert boxes(data) == {
        "1.png": [("dog", [1, 2, 11, 22]), ("cat", [30, 20, 40, 30])],
        "2.png": [],
        "../4.png": [("cat", [1, 2, 3, 4])],
    }
    no_edge = ("rejected", "an edge that is missing or no finite number")
    assert said(data) == {
        "1.png#2": ("rejected", "a duplicate: the same box and class was there before"),
        "1.png#3": ("repaired", "reaches past the image: clipped to it"),
        "1.png#4": ("rejected", "outside the image"),
        "1.png#5": ("rejected", "inverted: an edge at the far side of its opposite"),
        "1.png#6": ("rejected", "no area"),
        "1.png#7": no_edge,
        "1.png#8": no_edge,
        "1.png#9": ("rejected", "a class without box"),
        "1.png#10": ("rejected", "no class name"),
        "1.png#11": ("rejected", "a class without box"),
        "gone.png": ("rejected", "no such file"),
        "gone.png#1": ("rejected", "its image is rejected"),
        "boxes.csv:14": ("rejected", "no image named"),
        "3.png": ("rejected", "none of its boxes can be used: what it shows is unknown"),
        "3.png#1": ("rejected", "inverted: an edge at the far side of its opposite"),
        "more.png": ("rejected", "not in boxes.csv"),
    }


def test_ignored_and_crowd(tmp_path: Path) -> None:
    image(tmp_path / "1.png")
    rows = ["1.png,a,1,1,5,5,1,", "1.png,a,2,2,5,5,,true", "1.png,a,3,3,6,6,0,0"]
    target = read_boxes_list(listed(tmp_path, *rows, header=HEADER + ",difficult,iscrowd")).items[0].target
    assert isinstance(target, Boxes) and target.ignored is not None and target.crowd is not None
    assert target.ignored.tolist() == [True, True, False] and target.crowd.tolist() == [False, True, False]


def test_splits_and_groups(tmp_path: Path) -> None:
    for k in range(3):
        image(tmp_path / f"{k}.png")
    rows = ["0.png,a,1,1,5,5,train,p", "1.png,a,1,1,5,5,VAL,", "0.png,a,1,1,6,6,train,p", "2.png,a,1,1,5,5,test,"]
    rows += ["2.png,a,1,1,5,5,train,"]
    data = read_boxes_list(listed(tmp_path, *rows, header=HEADER + ",split,group"))
    assert [(i.id, i.split, i.group) for i in data.items] == [("0.png", "train", "p"), ("1.png", "validation", None)]
    assert said(data)["2.png"] == ("rejected", "its rows disagree on its split, group or size (line 6 of boxes.csv)")


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("{}/_annotations.csv", "{}/1.jpg"),
        ("{}_labels.csv", "images/{}/1.jpg"),
        ("{}.csv", "{}/1.jpg"),
        ("labels_{}.csv", "images/{}1.jpg"),
    ],
)
def test_split_layouts(tmp_path: Path, file: str, picture: str) -> None:
    for part in ("train", "val", "test"):
        place = image(tmp_path / picture.format(part))
        listed(tmp_path, f"{place.name},cat,1,2,3,4", name=file.format(part))
    data = read(tmp_path)
    assert data.format == "boxes-list" and data.declared == {"train", "validation", "test"} and said(data) == {}
    assert {i.id for i in data.items} == {picture.format(part) for part in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,label\n1.png,cat\n", "begins with path, label"),
        (HEADER + ",split\n1.png,cat,1,2,3,4,trian\n", "'trian' in line 2"),
        (HEADER + ",split\n1.png,cat,1,2,3,4,train\n2.png,cat,1,2,3,4,\n", r"no split for 2\.png"),
        (HEADER + "\n1.png,cat,1,2,3,4,5\n", "7 cells in line 2"),
        (HEADER + '\n"1.png,cat,1,2,3,4\n', "line"),
        (HEADER + "\n", "no usable box"),
        (HEADER + "\n1.png,,,,,\n", "no usable box"),
    ],
)
def test_bad_lists(tmp_path: Path, content: str, words: str) -> None:
    for name in ("1.png", "2.png"):
        image(tmp_path / name)
    with pytest.raises(DataError, match=words) as caught:
        read_boxes_list(text(tmp_path / "boxes.csv", content))
    assert caught.value.expected or caught.value.hint


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_bytes(HEADER.encode() + b"\n\xff.png,cat,1,2,3,4\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_boxes_list(file)


def test_boxes_in_one_cell_without_classes(tmp_path: Path) -> None:
    """As the heads of wheat are listed: ids without extension, one kind of thing."""
    for name in ("train/a.jpg", "train/b.PNG", "train/c.jpg", "train/c.png", "a.txt", "train/e"):
        image(tmp_path / name) if name != "a.txt" and name != "train/e" else text(tmp_path / name, "x")
    rows = ['a,40,30,"[1, 2, 10.5, 20]",x', 'b,40,30,"[1, 2, 10]",x', "b,40,30,,x", 'b,40,30,"[1 2 3 nan]",x']
    rows += ['c,40,30,"[1, 2, 3, 4]",x', 'd,40,30,"[1, 2, 3, 4]",x', 'b,40,30,"1;2;3;4",x']
    data = read_boxes_list(listed(tmp_path, *rows, header="image_id,width,height,bbox,source", name="train.csv"))
    assert boxes(data) == {"train/a.jpg": [("object", [1, 2, 11.5, 22])], "train/b.PNG": [("object", [1, 2, 4, 6])]}
    assert said(data) == {
        "train.csv: class": ("repaired", "no column of classes: one class, object"),
        "train/b.PNG#1": ("rejected", "a box of 3 numbers, not of four"),
        "train/b.PNG#2": ("rejected", "an edge that is missing or no finite number"),
        "train/c.jpg": ("rejected", "several images called c: c.jpg, c.png"),
        "train/c.jpg#1": ("rejected", "its image is rejected"),
        "d": ("rejected", "no such file"),
        "d#1": ("rejected", "its image is rejected"),
    }


def test_classes_called_otherwise_are_not_passed_over(tmp_path: Path) -> None:
    image(tmp_path / "1.png")
    assert not recognises_boxes_list(listed(tmp_path, "1.png,1,2,3,4,cat", header="image,x,y,w,h,my_class"))


@pytest.mark.parametrize("header", ["xmin,ymin,xmax,ymax,label", "image,kind_label,x,y,w,h", "label,bbox"])
def test_a_header_that_nearly_names_boxes(tmp_path: Path, header: str) -> None:
    file = listed(tmp_path, "1,2,3,4,5,6"[: 2 * len(header.split(",")) - 1], header=header)
    with pytest.raises(DataError, match="begins with") as caught:
        read(file)
    assert "xmin,ymin,xmax,ymax" in caught.value.expected
