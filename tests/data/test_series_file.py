"""Series read from files, mended, and cut into windows."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visto.data import read
from visto.data.dataset import Steps
from visto.data.series_file import read_series_file, recognises_series
from visto.data.windows import (
    dataset_to_foretell,
    default_window,
    dominant_period,
    for_judging,
    for_training,
    rows_needed,
    untouched,
)
from visto.errors import DataError, UsageError
from visto.types import Future


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_dates_are_passed_over_and_holes_filled(tmp_path: Path) -> None:
    path = write(
        tmp_path / "sales.csv",
        "date,sales,note,price",
        "2024-01-01,10,x,",
        "2024-01-02,,y,2",
        "2024-01-03,40,z,NaN",
        "2024-01-04,50,x,",
    )
    found = read_series_file(path)
    assert found.names == ("sales", "price")
    assert found.values.tolist() == [[10, 2], [25, 2], [40, 2], [50, 2]]
    told = {entry.id: (entry.status, entry.reason) for entry in found.entries}
    assert told["sales.csv:3"] == ("repaired", "no number in sales: filled from its neighbours")
    assert told["sales.csv:5"] == ("repaired", "no number in price: filled from its neighbours")
    assert told["sales.csv: date"] == ("kept", "dates or numbers of rows, not foretold")
    assert told["sales.csv: note"] == ("rejected", "a column without numbers: passed over")


@pytest.mark.parametrize(
    ("name", "lines", "names", "values"),
    [
        ("a.csv", ["1", "2", "4"], ("column 1",), [[1], [2], [4]]),
        ("a.csv", ["sales", "1", "2"], ("sales",), [[1], [2]]),
        ("a.tsv", ["a\tb", "1\t2", "3\t5"], ("a", "b"), [[1, 2], [3, 5]]),
        ("a.csv", ["tag;menge", "1;1,5", "2;2,5"], ("tag", "menge"), [[1, 1.5], [2, 2.5]]),
        ("a.csv", ["0,7", "1,8", "2,9"], ("column 2",), [[7], [8], [9]]),
        ("a.csv", ["year,co2", "1960,316", "1961,317"], ("co2",), [[316], [317]]),
    ],
)
def test_tables(tmp_path: Path, name: str, lines: list[str], names: tuple[str, ...], values: list[list[float]]) -> None:
    found = read_series_file(write(tmp_path / name, *lines))
    assert found.names == names
    assert found.values.tolist() == values


def test_the_newest_first_is_turned_round_and_disorder_refused(tmp_path: Path) -> None:
    found = read_series_file(write(tmp_path / "a.csv", "date,v", "2024-01-03,3", "2024-01-02,2", "2024-01-01,1"))
    assert found.values.ravel().tolist() == [1, 2, 3]
    assert found.entries[0].id == "a.csv:4"
    with pytest.raises(DataError, match="not in the order of time: see line 4"):
        read_series_file(write(tmp_path / "a.csv", "date,v", "2024-01-01,1", "2024-01-02,2", "2024-01-01,3"))


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1.0, np.inf, 3.0]))
    np.savez(tmp_path / "b.npz", series=np.arange(6).reshape(3, 2))
    assert read_series_file(tmp_path / "a.npy").values.ravel().tolist() == [1, 2, 3]
    assert read_series_file(tmp_path / "b.npz").names == ("column 1", "column 2")
    np.save(tmp_path / "c.npy", np.array(["a"]))
    with pytest.raises(DataError, match="holds <U1"):
        read_series_file(tmp_path / "c.npy")


@pytest.mark.parametrize("head", ["path,label", "image_id,xmin,ymin,xmax,ymax", "label,a", "word,other"])
def test_what_is_for_other_readers_is_left_to_them(tmp_path: Path, head: str) -> None:
    assert not recognises_series(
        write(tmp_path / "a.csv", head, "a.png,cat" if "word" in head else ",".join("1234567"[: head.count(",") + 1]))
    )
    np.savez(tmp_path / "a.npz", train_images=np.zeros((1, 2, 2)), train_labels=np.zeros(1))
    assert not recognises_series(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b", "x,y"], "no column of numbers"),
        (["a"], "no row"),
        (["a", "1,2"], "more cells"),
        (["a,a", "1,2"], "one name"),
    ],
)
def test_what_is_no_series(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_series_file(write(tmp_path / "a.csv", *lines))


def test_the_format_is_found(tmp_path: Path) -> None:
    start = date(2024, 1, 1)
    days = [f"{start + timedelta(days=k)},{np.sin(k / 3):.4f}" for k in range(200)]
    data = read(write(tmp_path / "a.csv", "date,wave", *days))
    assert (data.format, data.task, data.classes) == ("forecast", "forecast", ("wave",))
    assert {item.split for item in data.items} == {"train", "validation", "test"}


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(70, 300),
    window=st.integers(1, 20),
    horizon=st.integers(1, 8),
)
def test_nothing_leaks_between_the_splits(rows: int, window: int, horizon: int) -> None:
    values = np.arange(rows, dtype=np.float32)[:, None]
    data, _ = for_training(dataset_to_foretell("a", values, ["a"], ()), window, horizon)
    spans: dict[str, set[int]] = {"train": set(), "validation": set(), "test": set()}
    futures: dict[str, set[int]] = {"train": set(), "validation": set(), "test": set()}
    for item in data.items:
        assert isinstance(item.source, Steps)
        assert isinstance(item.target, Future)
        assert item.split is not None
        assert item.source.values.ravel().tolist() == list(range(item.source.start, item.source.stop))
        coming = [int(v) for v in item.target.values.ravel()]
        assert coming == list(range(item.source.stop, item.source.stop + horizon))
        futures[item.split] |= set(coming)
        spans[item.split] |= {*range(item.source.start, item.source.stop), *coming}
    assert not spans["train"] & (futures["validation"] | futures["test"])
    assert not spans["validation"] & futures["test"]
    assert max(spans["train"]) < min(futures["validation"]) <= max(futures["validation"]) < min(futures["test"])


def test_a_group_is_a_stretch_of_time() -> None:
    values = np.zeros((400, 1), np.float32)
    data, _ = for_training(dataset_to_foretell("a", values, ["a"], ()), 16, 4)
    groups: dict[str | None, list[int]] = {}
    for item in data.items:
        assert isinstance(item.source, Steps)
        groups.setdefault(item.group, []).append(item.source.stop)
    assert all(rows == list(range(rows[0], rows[-1] + 1)) for rows in groups.values() if len(rows) > 4)
    assert len({item.group for item in data.test.items}) >= 9


def test_a_long_series_gives_every_second_window() -> None:
    data = dataset_to_foretell("a", np.zeros((30_001, 1), np.float32), ["a"], ())
    rows = [item.source.stop for item in data.items if isinstance(item.source, Steps)]
    assert set(np.diff(rows)) <= {2}
    assert len(rows) <= 20_000


def test_too_short_a_series_says_what_is_needed() -> None:
    data = dataset_to_foretell("a", np.zeros((50, 1), np.float32), ["a"], ())
    with pytest.raises(DataError, match="too few") as error:
        for_training(data, 24, 8)
    assert error.value.expected == f"at least {rows_needed(24, 8)} rows"
    exactly = dataset_to_foretell("a", np.zeros((rows_needed(24, 8), 1), np.float32), ["a"], ())
    assert {item.split for item in for_training(exactly, 24, 8)[0].items} == {"train", "validation", "test"}
    with pytest.raises(UsageError, match="a horizon of -1"):
        for_training(data, 4, -1)
    with pytest.raises(DataError, match="1 row"):
        dataset_to_foretell("a", np.zeros((1, 1), np.float32), ["a"], ())


def test_periods() -> None:
    steps, random = np.arange(2000), np.random.default_rng(0)
    season = np.sin(2 * np.pi * steps / 96) + 0.3 * random.normal(size=2000) + 0.01 * steps
    assert dominant_period(season.astype(np.float32)) in (95, 96, 97)
    assert default_window(season[:, None].astype(np.float32))[0] in (95, 96, 97)
    assert dominant_period(random.normal(size=2000).astype(np.float32)) is None
    assert dominant_period(steps.astype(np.float32)) is None
    assert dominant_period(np.ones(50, np.float32)) is None


def test_columns_are_taken_by_name() -> None:
    data = dataset_to_foretell("a", np.array([[1, 2], [3, 4], [5, 6]], np.float32), ["x", "y"], ())
    cut = for_judging(data, ["y", "x"], 1, 1)
    assert cut.classes == ("y", "x")
    assert isinstance(cut.items[0].target, Future)
    assert cut.items[0].target.values.tolist() == [[4, 3]]
    with pytest.raises(DataError, match="no column 'z'"):
        for_judging(data, ["z"], 1, 1)
    with pytest.raises(DataError, match="3 rows"):
        for_judging(data, ["x"], 3, 1)


def test_what_touches_known_rows_is_not_judged() -> None:
    values = np.arange(100, dtype=np.float32)[:, None]
    cut = for_judging(dataset_to_foretell("a", values, ["a"], ()), ["a"], 5, 3)
    known = torch.tensor([item.split in ("train", "validation") for item in cut.items])
    left = [item for item, yes in zip(cut.items, untouched(cut.items, known).tolist(), strict=True) if yes]
    assert {item.split for item in left} == {"test"}
    assert left == [item for item in cut.items if item.split == "test"]
