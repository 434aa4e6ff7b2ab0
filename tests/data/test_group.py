"""Groups read from names: who is a person and what is a counter, and the patterns that say otherwise."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.clips import write_clip

from visto.data import read, read_again
from visto.data.dataset import Clip, Dataset, Item
from visto.data.group import found_pattern, grouped
from visto.data.split import assign
from visto.errors import UsageError
from visto.types import SPLITS, Label

PEOPLE = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
ACTIONS = ("bend", "jack", "run", "walk")


def dataset(ids: list[str]) -> Dataset:
    """Clips by their ids alone, of the classes that the ids begin with."""
    classes = tuple(sorted({id.split("/")[0] for id in ids}))
    items = tuple(Item(id, Clip((Path(id),)), Label(index=classes.index(id.split("/")[0]))) for id in ids)
    return Dataset(name="x", format="clip-folders", task="sequence", classes=classes, items=items)


def groups(ids: list[str]) -> set[str]:
    return {str(item.group) for item in grouped(dataset(ids), None).items}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("{label}/{person}_{label}.avi", set(PEOPLE)),
        ("{label}/{person}_{label}{take}.avi", set(PEOPLE)),
        ("{label}/{label}-{person}-{take}", set(PEOPLE)),
        ("{label}/{label}_up_{person}_{take}.gif", set(PEOPLE)),
        ("{label}/person{number:02d}_{label}_d{take}_uncomp.avi", {f"person{k:02d}" for k in range(1, 10)}),
        ("{label}/{label} Subject {number} take {take}.mp4", {f"Subject {k}" for k in range(1, 10)}),
        ("{label}/v_{label}_g{number:02d}_c{take:02d}.avi", {f"g{k:02d}" for k in range(1, 10)}),
        ("{label}/a01_s{number:02d}_e{take:02d}", {f"s{k:02d}" for k in range(1, 10)}),
        ("{label}/S001C001P{number:03d}R00{take}A001.mp4", {f"P{k:03d}" for k in range(1, 10)}),
        # counters, one of each in every class, and what is no name
        ("{label}/{label}_{number}_{take}.avi", {"None"}),
        ("{label}/clip{number:03d}{take}.avi", {"None"}),
        ("{label}/c{number}_d{take}", {"None"}),
        ("{label}/v{number}{take}", {"None"}),
        ("{label}/s{number}{take}.avi", {"None"}),
        ("{label}/{label}_{side}_{number}{take}.avi", {"None"}),
        ("{label}/{label}{person}_{take}.avi", {"None"}),  # another name in each class
    ],
)
def test_names(name: str, found: set[str]) -> None:
    ids = [
        name.format(label=label, person=person, number=number, take=take, side=("left", "right", "front")[number % 3])
        for label in ACTIONS
        for number, person in enumerate(PEOPLE, 1)
        for take in (1, 2)
    ]
    assert groups(sorted(set(ids))) == found


def test_classes_of_several_words() -> None:
    ids = [f"{c}/{c}_{person}_{k}" for c in ("hand_waving", "run", "jump_up_high") for person in PEOPLE for k in (1, 2)]
    assert groups(ids) == set(PEOPLE)


def test_people_of_one_class_each_are_no_groups() -> None:
    ids = [f"{c}/{p}_{k}" for c, people in (("a", PEOPLE[:4]), ("b", PEOPLE[4:])) for p in people for k in range(5)]
    assert groups(ids) == {"None"}


def test_too_few_and_too_many() -> None:
    assert groups([f"{c}/{p}_{k}" for c in "ab" for p in PEOPLE[:2] for k in range(5)]) == {"None"}
    assert groups([f"{c}/{p}" for c in "ab" for p in PEOPLE]) == set(PEOPLE)
    assert groups([f"a/{p}" for p in PEOPLE]) == {"None"}


@given(st.lists(st.text(st.sampled_from("ab1_-. /é"), min_size=1, max_size=12), min_size=1, max_size=20, unique=True))
def test_any_names(names: list[str]) -> None:
    data = dataset([f"{'ab'[k % 2]}/{name}" for k, name in enumerate(names)])
    pattern = found_pattern(data)
    assert bool(pattern) == any(item.group for item in grouped(data, None).items)


def test_it_is_said_and_kept(tmp_path: Path) -> None:
    for label in ACTIONS:
        for person in PEOPLE:
            for take in (1, 2):
                write_clip(tmp_path / label / f"{person}_{label}_{take}", 4)
    data = read(tmp_path)
    assert "9 groups read from the names (daria, denis, eli, …): none of them is in two splits" in data.notes[-1]
    assert f"--group-by '{data.grouped_by}'" in data.notes[-1]
    again = read_again(tmp_path, {"split_seed": 0, "group_by": data.grouped_by})
    assert again.items == data.items
    assert {item.group for item in read(tmp_path, group_by="none").items} == {None}
    assert {item.group for item in read(tmp_path, group_by="_([12])$").items} == {"1", "2"}
    assert {item.group for item in read(tmp_path, group_by="(?<=/)[a-k]").items} == {"d", "e", "i"}.union([None])
    some = read(tmp_path, group_by="(daria)_")
    assert Counter(item.group for item in some.items) == {"daria": 8, None: 64}
    assert "by the pattern '(daria)_' (daria), and 64 without a group, each by itself" in some.notes[-1]


def test_patterns_that_cannot_be(tmp_path: Path) -> None:
    for label in "ab":
        for k in range(4):
            write_clip(tmp_path / label / f"{k}", 4)
    with pytest.raises(UsageError, match="no regular expression"):
        read(tmp_path, group_by="(")
    with pytest.raises(UsageError, match="matches no id") as caught:
        read(tmp_path, group_by="person")
    assert "a/0" in caught.value.expected
    assert read_again(tmp_path, {"group_by": "person"}).grouped_by == ""  # other data: nothing to be found there


def test_images_are_grouped_when_asked(tmp_path: Path) -> None:
    for label in "ab":
        for person in PEOPLE[:4]:
            for k in range(3):
                (tmp_path / label).mkdir(exist_ok=True)
                (tmp_path / label / f"{person}{k}.png").write_bytes(b"x")
    assert not read(tmp_path).notes and {item.group for item in read(tmp_path).items} == {None}
    data = read(tmp_path, group_by=r"([a-z]+)\d\.png$")
    assert {item.group for item in data.items} == set(PEOPLE[:4])


def test_groups_in_the_splits_that_the_data_came_with(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in "ab":
            for person in PEOPLE[:4]:
                write_clip(tmp_path / split / label / f"{person}_1", 4)
    assert read(tmp_path).notes[-1].startswith("careful: 4 groups are in more than one of the splits")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("people", "takes"), [(9, 2), (25, 4), (4, 3), (3, 1)])
def test_people_stay_together_and_every_class_is_everywhere(seed: int, people: int, takes: int) -> None:
    ids = [f"{label}/person{p:02d}_{label}_d{t}" for label in ACTIONS for p in range(people) for t in range(takes)]
    data = assign(grouped(dataset(ids), None), seed=seed)
    places = {(item.group, item.split) for item in data.items}
    assert len(places) == people and {split for _, split in places} == set(SPLITS)
    for split in SPLITS:
        assert all(data.counts([item for item in data.items if item.split == split]))
    assert len(data.train) >= len(ids) / 3
    if people >= 9:
        assert 0.5 <= len(data.train) / len(ids) <= 0.8 and len(data.test) / len(ids) <= 0.25
