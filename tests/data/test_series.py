"""Series of numbers, from arrays, JSON lines and tables: what is read, what is mended, what is rejected and why."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visto.data import read
from visto.data.dataset import Dataset, Item, Steps
from visto.data.series import Raw, dataset_of_series
from visto.data.series_table import recognises_series_table
from visto.errors import DataError

NAN, INF = float("nan"), float("inf")


def values(item: Item) -> list[Any]:
    assert isinstance(item.source, Steps)
    found = item.source.values
    assert found.dtype == np.float32 and found.ndim == 2
    return list((found[:, 0] if found.shape[1] == 1 else found).tolist())


def said(data: Dataset) -> dict[str, tuple[str, str]]:
    return {entry.id: (entry.status, entry.reason) for entry in data.ledger}


def labels(data: Dataset) -> dict[str, str]:
    return {item.id: data.classes[item.target.classes[0]] for item in data.items if item.target is not None}


def save(path: Path, **arrays: NDArray[Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)
    return path


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows))
    return path


# what all three share


def raw(*rows: object, id: str = "a", label: str = "x") -> Raw:
    array = np.array(rows, np.float32)
    return Raw(id=id, values=array.reshape(len(rows), -1 if len(rows) else 0), label=label)


def test_all_series_lie_in_one_array() -> None:
    data = dataset_of_series(
        name="n", format="series-npz", found=[raw(1, 2, 3), raw(4, 5, id="b", label="y"), raw(6, 7, id="c")]
    )
    sources = [item.source for item in data.items]
    assert [(s.start, s.stop) for s in sources if isinstance(s, Steps)] == [(0, 3), (3, 5), (5, 7)]
    assert len({id(s.array) for s in sources if isinstance(s, Steps)}) == 1
    assert data.task == "sequence" and data.classes == ("x", "y") and not data.ledger


def test_what_is_missing_is_carried_and_said() -> None:
    one = dataset_of_series(name="n", format="series-npz", found=[raw(NAN, 2, NAN, NAN, 5, id="gaps")])
    assert values(one.items[0]) == [2, 2, 2, 2, 5]
    assert said(one) == {"gaps": ("repaired", "3 numbers missing of 5: the last one before it was taken")}
    two = dataset_of_series(name="n", format="series-npz", found=[raw((1, NAN), (INF, 2), (3, -INF), id="infinite")])
    assert values(two.items[0]) == [[1, 2], [1, 2], [3, 2]]
    words = "1 number missing and 2 numbers infinite of 6: the last one before it was taken"
    assert said(two) == {"infinite": ("repaired", words)}


def test_what_cannot_be_used() -> None:
    found = [
        raw((1, 2), (3, 4), id="good"),
        raw((1, 2), (3, 4), id="too"),
        raw(id="empty"),
        raw((1, 2), id="one"),
        raw((NAN, NAN), (NAN, NAN), id="nothing"),
        raw((1, NAN), (3, NAN), id="half"),
        raw(1, 2, 3, id="narrow"),
    ]
    data = dataset_of_series(name="n", format="series-npz", found=found)
    assert [item.id for item in data.items] == ["good", "too"]
    assert said(data) == {
        "empty": ("rejected", "an empty series"),
        "one": ("rejected", "only one step: nothing changes"),
        "nothing": ("rejected", "no number in it"),
        "half": ("rejected", "no number in feature 2"),
        "narrow": ("rejected", "1 number a step, where most series have 2"),
    }
    with pytest.raises(DataError, match=r"no series in n .* empty: an empty series"):
        dataset_of_series(name="n", format="series-npz", found=[raw(id="empty")])


NUMBERS = st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([NAN, INF, -INF]))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8), min_size=1, max_size=6))
def test_no_series_is_lost_and_none_holds_what_is_no_number(series: list[list[tuple[float, float]]]) -> None:
    found = [raw(*rows, id=str(k)) for k, rows in enumerate(series)]
    try:
        data = dataset_of_series(name="n", format="series-npz", found=found)
    except DataError:
        return
    kept = {item.id: item.source for item in data.items}
    assert kept.keys() | said(data).keys() >= {one.id for one in found}
    for one in found:
        source = kept.get(one.id)
        assert (source is None) == (said(data).get(one.id, ("kept",))[0] == "rejected")
        if isinstance(source, Steps):
            good = np.isfinite(one.values)
            assert np.isfinite(source.values).all() and np.array_equal(source.values[good], one.values[good])


# arrays


def test_npz_of_three_parts(tmp_path: Path) -> None:
    series = np.arange(24, dtype=np.int16).reshape(2, 4, 3)
    arrays = {f"{part}_{kind}": a for part in ("train", "val", "test") for kind, a in (("series", series),)}
    named = {f"{part}_labels": np.array(["up", "down"]) for part in ("train", "val", "test")}
    data = read(save(tmp_path / "waves.npz", **arrays, **named))
    assert data.format == "series-npz" and data.name == "waves" and data.classes == ("down", "up")
    assert [item.id for item in data.items][::2] == ["train:0", "validation:0", "test:0"]
    assert data.declared == {"train", "validation", "test"} and values(data.items[1]) == series[1].tolist()
    assert read(tmp_path).format == "series-npz"


def test_npz_of_one_part_and_lengths(tmp_path: Path) -> None:
    series = np.array([[1, 2, 3, 4], [1, 2, NAN, NAN], [NAN, 2, NAN, 4], [1, 2, 3, 4]])
    labels = np.array([[0], [7], [7], [0]])
    data = read(save(tmp_path / "a.npz", series=series, labels=labels, groups=np.array([1, 1, 2, 2])))
    assert [values(item) for item in data.items] == [[1, 2, 3, 4], [1, 2], [2, 2, 2, 4], [1, 2, 3, 4]]
    assert data.classes == ("0", "7") and [item.group for item in data.items] == ["1", "1", "2", "2"]
    assert data.items[0].id == "all:0" and list(said(data)) == ["all:2"]
    again = read(save(tmp_path / "b.npz", series=series, labels=labels, lengths=np.array([4, 3, 5, 1])))
    assert [values(item) for item in again.items] == [[1, 2, 3, 4], [1, 2, 2]]
    assert said(again) == {
        "all:1": ("repaired", "1 number missing of 3: the last one before it was taken"),
        "all:2": ("rejected", "a length of 5, where there are 4 steps"),
        "all:3": ("rejected", "only one step: nothing changes"),
    }
    masks = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 0, 1]], bool)
    masked = read(save(tmp_path / "c.npz", series=np.abs(np.nan_to_num(series)), labels=labels, masks=masks))
    assert [values(item) for item in masked.items] == [[1, 2, 3, 4], [1, 2], [2, 2, 0, 4], [1, 2, 2, 4]]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"series": np.zeros((2, 3))}, "holds series"),
        ({"series": np.zeros((2, 3)), "labels": np.zeros(2)}, "labels is float64"),
        ({"series": np.zeros((2, 3)), "labels": np.zeros(3, int)}, r"labels is int64 \(3,\) for 2"),
        ({"series": np.zeros(3), "labels": np.zeros(3, int)}, "series is float64"),
        ({"series": np.array([["a"]]), "labels": np.zeros(1, int)}, "series is <U1"),
        ({"series": np.zeros((2, 3)), "labels": np.zeros(2, int), "lengths": np.zeros(2)}, "lengths are float64"),
        ({"series": np.zeros((2, 3)), "labels": np.zeros(2, int), "masks": np.zeros((2, 3))}, "masks are float64"),
        ({"series": np.zeros((2, 3)), "train_series": np.zeros((2, 3)), "labels": None}, "holds series"),
        ({"series": np.zeros((0, 3)), "labels": np.zeros(0, int)}, "no series"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    whole = {name: np.zeros(2, int) if array is None else array for name, array in arrays.items()}
    with pytest.raises(DataError, match=words):
        read(save(tmp_path / "x.npz", **whole))


def test_no_objects_are_unpacked(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", series=np.array([[1.0], None], dtype=object), labels=np.array([0, 1]))
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "x.npz")


# JSON lines


def test_lines(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "strokes.jsonl",
        {"series": [[0, 0], [1, 2.5], [2, None]], "label": "line", "id": "s1", "split": "train", "group": 3},
        "",
        {"label": 7, "series": [[0, 0], [0, 0]], "split": "TEST", "extra": True},
    )
    data = read(file)
    assert data.format == "series-lines" and labels(data) == {"s1": "line", "strokes.jsonl:3": "7"}
    assert values(data.items[0]) == [[0, 0], [1, 2.5], [2, 2.5]]
    assert [(item.split, item.group) for item in data.items] == [("train", "3"), ("test", None)]
    assert read(tmp_path).format == "series-lines"
    flat = read(lines(tmp_path / "flat.jsonl", {"series": [1, 2, 3], "label": "x"}))
    assert values(flat.items[0]) == [1, 2, 3]


def test_bad_lines_are_rejected_one_by_one(tmp_path: Path) -> None:
    good = {"series": [1, 2], "label": "x"}
    file = lines(
        tmp_path / "l.jsonl",
        {**good, "id": "a"},
        {**good, "id": "a"},
        {"series": [1, 2]},
        {**good, "label": ""},
        {**good, "label": True},
        {"series": "1 2", "label": "x"},
        {"series": [1, "2"], "label": "x", "id": "t"},
        {"series": [[1, 2], [3]], "label": "x"},
        {"series": [1, False], "label": "x"},
        {"series": [[[1]], [[2]]], "label": "x"},
        {"series": [], "label": "x"},
        '{"series": [1, 1' + "0" * 400 + '], "label": "x"}',
        {"label": "x"},
    )
    data = read(file)
    assert [item.id for item in data.items] == ["a"]
    assert {id: reason for id, (_, reason) in said(data).items()} == {
        "l.jsonl:2: a": "listed before, in line 1",
        "l.jsonl:3": "no label",
        "l.jsonl:4": "no label",
        "l.jsonl:5": "no label",
        "l.jsonl:6": "no list of steps",
        "l.jsonl:7: t": '"2" in step 2, which is no number',
        "l.jsonl:8": "2 numbers in step 1, 1 in step 2",
        "l.jsonl:9": "false in step 2, which is no number",
        "l.jsonl:10": "[1] in step 1, which is no number",
        "l.jsonl:11": "an empty series",
        "l.jsonl:12": "a number that is too large",
        "l.jsonl:13": "no list of steps",
    }


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"series": [1, 2], "label": "x"', "line 1 of .* is not JSON"),
        ('{"series": [1, 2], "label": "x", "split": "trian"}', "'trian' in line 1"),
        ('{"series": [1, 2], "label": "x"}\n[]', "line 2 of .* is no object"),
        ('{"series": [1], "label": "x"}', "no series in"),
    ],
)
def test_bad_line_files(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(lines(tmp_path / "x.jsonl", row))


# tables


def test_a_table(tmp_path: Path) -> None:
    file = table(
        tmp_path / "sensors.csv",
        "id,label,user,t,acc_x,acc_y,note",
        "1,walk,ann,0,0.5,1,start",
        "2,run,bob,0,3,4,",
        "1,walk,ann,1,0.75,,x",
        "2,run,bob,2,7,8,",
        "2,run,bob,1,5,6,end",
    )
    data = read(file)
    assert data.format == "series-table" and labels(data) == {"1": "walk", "2": "run"}
    assert [item.group for item in data.items] == ["ann", "bob"] and data.declared == frozenset()
    assert values(data.items[0]) == [[0.5, 1], [0.75, 1]]
    assert values(data.items[1]) == [[3, 4], [5, 6], [7, 8]]
    assert said(data) == {
        "1": ("repaired", "1 number missing of 4: the last one before it was taken"),
        "2": ("repaired", "steps put in the order of their time"),
    }
    assert data.notes == ("columns left out, for they hold no features: note",)
    assert read(tmp_path).format == "series-table"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "Sequence_ID\tClass\tvalue\na\tx\t1\na\tx\t2\n"),
        ("a.csv", "\ufeffid;label;split;value\na;x;train;1\n\na;x;train;2\n"),
        ("a.csv", "id,label,time,value\na,x,2020-01-01,1\na,x,2020-01-02,2\n"),
        ("a.csv", ",id,label,value\n0,a,x,1\n1,a,x,2\n"),
    ],
)
def test_dialects(tmp_path: Path, name: str, text: str) -> None:
    data = read(table(tmp_path / name, text))
    assert [values(item) for item in data.items] == [[1, 2]] and not data.ledger


def test_bad_series_of_a_table(tmp_path: Path) -> None:
    rows = ["id,label,split,t,x", "a,x,train,0,1", "a,x,train,0,2", "b,x,train,0,1", "b,y,train,1,2"]
    rows += ["c,x,train,0,1", "c,x,test,1,1", "d,,train,0,1", "e,x,train,0,1", "e,x,train,1,one", ",x,train,0,1"]
    rows += ["f,x,train,0,1", "g,x,train,0,1_0", "h,x,train,0,NaN", "h,x,train,1,NA"]
    data = read(table(tmp_path / "t.csv", *rows))
    assert [item.id for item in data.items] == ["a"]
    assert {id: reason for id, (_, reason) in said(data).items()} == {
        "a": "1 step at the time of another",
        "b": "different labels: x (line 4), y (line 5)",
        "c": "different splits: train (line 6), test (line 7)",
        "d": "no label (line 8)",
        "e": "'one' in line 10, column x, is no number",
        "t.csv:11": "no id",
        "f": "only one step: nothing changes",
        "g": "'1_0' in line 13, column x, is no number",
        "h": "no number in it",
    }


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["id,label,x", "a,x"], "2 cells in line 2"),
        (["id,label,x", "a,x,1,2"], "4 cells in line 2"),
        (["id,label,split,x", "a,x,trian,1"], "'trian' in line 2"),
        (["id,label,x", "a,x,one", "a,x,two"], "no column holds numbers"),
        (["id,label,x", '"a,x,1'], "line"),
        (["id,label,x"], "no column holds numbers"),
    ],
)
def test_bad_tables(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(table(tmp_path / "t.csv", *rows))


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("l.csv", "id,path,label,x\n1,a.png,cat,3\n", "list"),
        ("l.csv", "filename,id,label\na.png,1,cat\n", "list"),
        ("l.jsonl", '{"path": "a.png", "label": "cat", "series": 1}\n', "list"),
        ("l.csv", "image,id,class,xmin,ymin,xmax,ymax\na.png,1,cat,0,0,3,3\n", "boxes-list"),
    ],
)
def test_lists_stay_lists(tmp_path: Path, name: str, text: str, format: str) -> None:
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert read(table(tmp_path / name, text)).format == format


@pytest.mark.parametrize("text", ["id,label\n1,cat\n", "date,price\n1,2\n", "id,x\n1,2\n"])
def test_tables_without_label_or_features_are_not_ours(tmp_path: Path, text: str) -> None:
    assert not recognises_series_table(table(tmp_path / "t.csv", text))
