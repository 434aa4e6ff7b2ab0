"""Boxes written to each format come back as they were; and a real data set, read whole."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.boxes import Box, boxes, corners, image, text, voc

from visto.data import read
from visto.testing import check_dataset

WIDTH, HEIGHT = 400, 300
Marks = list[tuple[str, Box]]
Drawn = dict[str, Marks]


@st.composite
def box(draw: st.DrawFn) -> Box:
    x0, y0 = draw(st.integers(0, WIDTH - 3)), draw(st.integers(0, HEIGHT - 3))
    return x0, y0, draw(st.integers(x0 + 2, WIDTH)), draw(st.integers(y0 + 2, HEIGHT))


@st.composite
def fine_box(draw: st.DrawFn) -> Box:
    x0, y0, x1, y1 = draw(box())
    part = st.floats(0, 0.49)
    return x0 + draw(part), y0 + draw(part), x1 - draw(part), y1 - draw(part)


def sets(each: st.SearchStrategy[Box]) -> st.SearchStrategy[Drawn]:
    """Two images, one with a box at least, of classes with awkward names."""
    mark = st.tuples(st.sampled_from(["cat", "été & <co>", 'a "b"', "10"]), each)
    marks = st.lists(mark, max_size=6, unique_by=lambda m: m)
    return st.fixed_dictionaries({"0.png": marks.filter(bool), "1.png": marks})


def write_voc(root: Path, drawn: Drawn) -> Path:
    for id, marks in drawn.items():
        objects = []
        for name, (x0, y0, x1, y1) in marks:
            escaped = name.replace("&", "&amp;").replace("<", "&lt;")
            objects.append((escaped, corners(int(x0) + 1, int(y0) + 1, int(x1), int(y1))))
        text(root / id.replace(".png", ".xml"), voc(objects, filename=id, size=(WIDTH, HEIGHT)))
    return root


def write_coco(root: Path, drawn: Drawn) -> Path:
    names = sorted({name for marks in drawn.values() for name, _ in marks})
    content = {
        "images": [{"id": k, "file_name": id, "width": WIDTH, "height": HEIGHT} for k, id in enumerate(drawn)],
        "annotations": [
            {"image_id": k, "category_id": names.index(name), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for k, marks in enumerate(drawn.values())
            for name, (x0, y0, x1, y1) in marks
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
    }
    return text(root / "a.json", json.dumps(content))


def write_yolo(root: Path, drawn: Drawn) -> Path:
    names = sorted({name for marks in drawn.values() for name, _ in marks})
    for id, marks in drawn.items():
        rows = [
            f"{names.index(name)} {(x0 + x1) / 2 / WIDTH:.9f} {(y0 + y1) / 2 / HEIGHT:.9f} "
            f"{(x1 - x0) / WIDTH:.9f} {(y1 - y0) / HEIGHT:.9f}\n"
            for name, (x0, y0, x1, y1) in marks
        ]
        text(root / id.replace(".png", ".txt"), "".join(rows))
    return text(root / "data.yaml", f"train: .\nnames: {json.dumps(names)}\n")


def write_csv(root: Path, drawn: Drawn) -> Path:
    quoted = {name: '"' + name.replace('"', '""') + '"' for marks in drawn.values() for name, _ in marks}
    rows = [",".join([id, quoted[name], *map(repr, edges)]) for id, marks in drawn.items() for name, edges in marks]
    rows += [f"{id},,,,," for id, marks in drawn.items() if not marks]
    return text(root / "boxes.csv", "\n".join(["image,class,xmin,ymin,xmax,ymax", *rows]))


def check_back(write: Callable[[Path, Drawn], Path], drawn: Drawn, *, within: float) -> None:
    with TemporaryDirectory() as folder:
        for id in drawn:
            image(Path(folder) / id, WIDTH, HEIGHT)
        data = read(write(Path(folder), drawn))
    check_dataset(data)
    found = boxes(data)
    assert set(found) == set(drawn)
    for id, marks in drawn.items():
        assert [name for name, _ in found[id]] == [name for name, _ in marks]
        for (_, back), (_, edges) in zip(found[id], marks, strict=True):
            assert max(abs(a - b) for a, b in zip(back, edges, strict=True)) <= within
    assert {e.status for e in data.ledger} == {"kept"} and len(data.ledger) == sum(map(len, drawn.values()))


@settings(max_examples=25, deadline=None)
@given(sets(box()))
def test_voc(drawn: Drawn) -> None:
    check_back(write_voc, drawn, within=0)


@settings(max_examples=25, deadline=None)
@given(sets(fine_box()))
def test_coco(drawn: Drawn) -> None:
    check_back(write_coco, drawn, within=1e-4)


@settings(max_examples=25, deadline=None)
@given(sets(fine_box()))
def test_yolo(drawn: Drawn) -> None:
    check_back(write_yolo, drawn, within=1e-3)


@settings(max_examples=25, deadline=None)
@given(sets(fine_box()))
def test_boxes_list(drawn: Drawn) -> None:
    check_back(write_csv, drawn, within=1e-4)


@pytest.mark.shared_data
def test_blood_cells() -> None:
    data = read(Path(os.environ["VISTO_DATA"]) / "bccd")
    check_dataset(data)
    assert data.format == "voc" and data.classes == ("Platelets", "RBC", "WBC")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [205, 87, 72]
    assert data.declared == {"train", "validation", "test"}
    kept = Counter(name for marks in boxes(data).values() for name, _ in marks)
    rejected = [entry for entry in data.ledger if "#" in entry.id and entry.status == "rejected"]
    assert len([entry for entry in data.ledger if "#" in entry.id]) == 4155 + 372 + 361
    assert {entry.reason for entry in rejected} == {"a single point: both corners are the same pixel"}
    assert len(rejected) == 2 and kept == {"RBC": 4153, "WBC": 372, "Platelets": 361}
