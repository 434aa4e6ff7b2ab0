"""Lists of paths and labels: CSV, TSV and JSON lines, with all that people put into them."""

import json
import os
from pathlib import Path

import pytest

from visto.data.dataset import Dataset
from visto.data.lists import read_list
from visto.errors import DataError
from visto.types import Label, Labels


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def write(root: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root / name


def test_csv(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "sub/b.png")
    data = read_list(write(tmp_path, "path,label,split,group\na.png,cat,train,p1\nsub/b.png,dog,VAL,\n"))
    assert data.classes == ("cat", "dog") and data.declared == {"train", "validation"} and data.name == "labels"
    assert [(i.id, i.split, i.group) for i in data.items] == [
        ("a.png", "train", "p1"),
        ("sub/b.png", "validation", None),
    ]
    assert data.items[1].source == tmp_path / "sub/b.png"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "\ufeffFileName,Class\r\na.png,cat\r\nb.png,dog\r\n"),
        ("l.csv", "target;image\ncat;a.png\ndog;b.png"),
        ("l.tsv", "file\tlabel\textra\na.png\tcat\t1\n\nb.png\tdog\t2\n"),
        ("l.CSV", 'path,label\n"a.png","cat"\n"b.png",dog\n'),
        ("l.jsonl", '{"path": "a.png", "label": "cat"}\n\n{"Image": "b.png", "TARGET": "dog", "note": []}\n'),
    ],
)
def test_dialects(tmp_path: Path, name: str, text: str) -> None:
    folder(tmp_path, "a.png", "b.png")
    data = read_list(write(tmp_path, text, name))
    assert data.classes == ("cat", "dog") and [i.id for i in data.items] == ["a.png", "b.png"]
    assert data.declared == frozenset()


def test_newline_and_separator_in_a_name(tmp_path: Path) -> None:
    folder(tmp_path, "a\nb.png", "c,d.png")
    data = read_list(write(tmp_path, 'path,label\n"a\nb.png",x\n"c,d.png",y\n'))
    assert [i.id for i in data.items] == ["a\nb.png", "c,d.png"]


def test_bad_rows_are_rejected_one_by_one(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png", "d.png")
    os.mkfifo(tmp_path / "pipe.png")
    rows = ["path,label", "a.png, cat ", "gone.png,cat", "b.png,", "./a.png,cat", "c.png,cat", "c.png,dog", ",cat"]
    data = read_list(write(tmp_path, "\n".join([*rows, "pipe.png,cat", "d.png"])))
    assert [i.id for i in data.items] == ["a.png"] and data.classes == ("cat",)
    assert {e.id: (e.status, e.reason) for e in data.ledger} == {
        "a.png": ("repaired", "spaces around the label removed"),
        "labels.csv:3: gone.png": ("rejected", "no such file"),
        "labels.csv:4: b.png": ("rejected", "no label"),
        "labels.csv:5: a.png": ("rejected", "listed before, in line 2"),
        "labels.csv:6: c.png": ("rejected", "listed with different labels: cat (line 6), dog (line 7)"),
        "labels.csv:7: c.png": ("rejected", "listed with different labels: cat (line 6), dog (line 7)"),
        "labels.csv:8: ": ("rejected", "no path"),
        "labels.csv:9: pipe.png": ("rejected", "not a regular file"),
        "labels.csv:10: d.png": ("rejected", "no label"),
    }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("l.csv", "a.png,cat\n", "begins with a.png, cat"),
        ("l.csv", "", "begins with nothing"),
        ("l.csv", "path,label,split\na.png,cat,trian\n", "'trian' in line 2"),
        ("l.csv", "path,label,split\na.png,cat,train\nb.png,cat,\n", "no split in line 3"),
        ("l.csv", "path,label\ngone.png,cat\n", "no usable row.*no such file"),
        ("l.csv", "path,label\n", "no usable row"),
        ("l.csv", "path,label\na.png,cat,dog\n", "3 cells in line 2"),
        ("l.csv", 'path,label\n"a.png,cat\n', "line"),
        ("l.csv", b"path,label\n\xff.png,cat\n", "not UTF-8"),
        ("l.csv", b"PK\x03\x04 not a list\0", "begins with"),
        ("l.jsonl", '{"path": "a.png"}', "begins with path"),
        ("l.jsonl", "[1]", "no object"),
        ("l.jsonl", "{", "line 1 .* not JSON"),
        ("l.jsonl", "[" * 100_000, "not JSON"),
        ("l.jsonl", '{"path": "a.png", "label": ["x", 1.5]}', "1.5 among the labels in line 1"),
        ("l.jsonl", '{"path": "a.png", "label": ["x", null]}', "null among the labels in line 1"),
        ("l.jsonl", '{"path": "a.png", "label": ["x", ["y"]]}', "among the labels in line 1"),
        ("l.jsonl", '{"path": "a.png", "label": ["x", true]}', "true among the labels in line 1"),
        ("l.jsonl", '{"path": "a.png", "label": {"x": 1}}', "line 1"),
        ("l.jsonl", '{"path": ["a.png"], "label": "x"}', "line 1"),
        ("l.csv", "path,label\na.png,|\nb.png,|\n", "names no class"),
    ],
)
def test_bad_lists(tmp_path: Path, name: str, text: str | bytes, words: str) -> None:
    folder(tmp_path, "a.png", "b.png")
    with pytest.raises(DataError, match=words) as caught:
        read_list(write(tmp_path, text, name))
    assert caught.value.expected or caught.value.hint


def test_numbers_and_nothing_in_json(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png")
    rows = [{"path": "a.png", "label": 10}, {"path": "b.png", "label": 9}, {"path": "c.png", "label": None}]
    data = read_list(write(tmp_path, "\n".join(map(json.dumps, rows)), "l.jsonl"))
    assert data.classes == ("9", "10") and data.ledger[0].reason == "no label"


def test_a_folder_with_a_list(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "unlisted.png", "readme.txt")
    write(tmp_path, "path,label\na.png,cat\nb.png,\n")
    data = read_list(tmp_path)
    assert data.name == tmp_path.name and [i.id for i in data.items] == ["a.png"]
    assert {e.id: e.reason for e in data.ledger} == {
        "labels.csv:3: b.png": "no label",
        "unlisted.png": "not in labels.csv",
        "readme.txt": "not an image by its name (.txt)",
    }


def test_paths_out_of_the_folder(tmp_path: Path) -> None:
    folder(tmp_path, "images/a.png")
    (tmp_path / "lists").mkdir()
    data = read_list(write(tmp_path / "lists", f"path,label\n../images/a.png,x\n{tmp_path}/images/a.png,y\nx\0y,z\n"))
    assert [i.id for i in data.items] == ["../images/a.png", f"{tmp_path}/images/a.png"]
    assert data.ledger[0].reason == "no such file"


def several(root: Path, rows: list[str]) -> Dataset:
    """A list of the rows' labels, for images a.png, b.png, …"""
    names = [f"{chr(97 + k)}.png" for k in range(len(rows))]
    folder(root, *names)
    text = "".join(f"{name},{row}\n" for name, row in zip(names, rows, strict=True))
    return read_list(write(root, "path,label\n" + text))


def labels_of(data: Dataset) -> dict[str, set[str]]:
    return {i.id: {data.classes[k] for k in i.target.classes} for i in data.items if isinstance(i.target, Labels)}


def reasons(data: Dataset) -> dict[str, tuple[str, str]]:
    return {e.id: (e.status, e.reason) for e in data.ledger}


def test_several_labels(tmp_path: Path) -> None:
    data = several(tmp_path, ["sofa|cat", "cat", "|", "item 10|item 9"])
    assert data.task == "multilabel" and data.classes == ("cat", "item 9", "item 10", "sofa") and not data.ledger
    assert labels_of(data) == {
        "a.png": {"cat", "sofa"},
        "b.png": {"cat"},
        "c.png": set(),
        "d.png": {"item 9", "item 10"},
    }
    assert data.items[0].target == Labels(classes=(0, 3))
    assert data.counts() == [2, 1, 1, 1]


def test_slips_in_several_labels_are_mended_and_said(tmp_path: Path) -> None:
    data = several(tmp_path, [" cat | sofa ", "a||b", "a|a", "a|", "||", " | "])
    assert list(labels_of(data).values()) == [{"cat", "sofa"}, {"a", "b"}, {"a"}, {"a"}, set(), set()]
    assert reasons(data) == {
        "a.png": ("repaired", "spaces around the label removed"),
        "b.png": ("repaired", "an empty label removed"),
        "c.png": ("repaired", "a repeated label removed"),
        "d.png": ("repaired", "an empty label removed"),
        "e.png": ("repaired", "an empty label removed"),
    }


def test_an_empty_cell_is_not_none_of_the_classes(tmp_path: Path) -> None:
    data = several(tmp_path, ["a|b", "", "  "])
    assert [i.id for i in data.items] == ["a.png"]
    words = "no label (for an image with none of the classes, write |)"
    assert reasons(data) == {
        "labels.csv:3: b.png": ("rejected", words),
        "labels.csv:4: c.png": ("rejected", words),
    }


def test_one_bar_makes_the_list_one_of_several_labels(tmp_path: Path) -> None:
    single = several(tmp_path / "single", ["a", "b"])
    assert single.task == "classification" and single.items[0].target == Label(index=0)
    mixed = several(tmp_path / "mixed", ["a", "b", "|"])
    assert mixed.task == "multilabel" and mixed.items[0].target == Labels(classes=(0,))


def test_rows_of_one_image_agree_by_their_sets(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png")
    data = read_list(write(tmp_path, "path,label\na.png,x|y\na.png,y|x\nb.png,x|y\nb.png,x\nb.png,|\n"))
    words = "listed with different labels: x|y (line 4), x (line 5), none of the classes (line 6)"
    assert labels_of(data) == {"a.png": {"x", "y"}}
    assert reasons(data) == {
        "labels.csv:3: a.png": ("rejected", "listed before, in line 2"),
        "labels.csv:4: b.png": ("rejected", words),
        "labels.csv:5: b.png": ("rejected", words),
        "labels.csv:6: b.png": ("rejected", words),
    }


def test_several_labels_in_json(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "g.png")
    cells: list[object] = [["sofa", " cat"], [3, "a|b"], [], [""], "x|cat", "sofa", None]
    rows = [{"path": f"{chr(97 + k)}.png", "labels": cell} for k, cell in enumerate(cells)]
    data = read_list(write(tmp_path, "\n".join(map(json.dumps, rows)), "l.jsonl"))
    assert labels_of(data) == {
        "a.png": {"cat", "sofa"},
        "b.png": {"3", "a|b"},
        "c.png": set(),
        "e.png": {"cat", "x"},
        "f.png": {"sofa"},
    }
    words = "no label (for an image with none of the classes, write [])"
    assert reasons(data) == {
        "a.png": ("repaired", "spaces around the label removed"),
        "l.jsonl:4: d.png": ("rejected", words),
        "l.jsonl:7: g.png": ("rejected", words),
    }


def test_one_spelling_for_one_name(tmp_path: Path) -> None:
    assert several(tmp_path, ["caf\u00e9|x", "cafe\u0301"]).classes == ("caf\u00e9", "x")
