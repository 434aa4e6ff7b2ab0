"""Splits: every item in exactly one, stratified, groups whole, the same for any order of the items."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visto.data.dataset import Dataset, Item
from visto.data.split import CARVED_LIMIT, assign
from visto.errors import DataError
from visto.types import SPLITS, Label, Labels, Split


def dataset(items: list[Item], classes: int, declared: frozenset[Split] = frozenset()) -> Dataset:
    names = tuple(str(k) for k in range(classes))
    return Dataset(name="x", format="x", task="classification", classes=names, items=tuple(items), declared=declared)


def items(
    labels: list[int], groups: list[str | None] | None = None, split: Split | None = None, tag: str = ""
) -> list[Item]:
    return [
        Item(id=f"{tag}{k}.png", source=Path("x"), target=Label(index=label), split=split, group=group)
        for k, (label, group) in enumerate(zip(labels, groups or [None] * len(labels), strict=True))
    ]


def table(data: Dataset) -> Counter[tuple[int, Split]]:
    """Images by class and split."""
    assert all(item.split in SPLITS for item in data.items)
    return Counter((item.target.classes[0], item.split) for item in data.items if item.target and item.split)


def by_id(data: Dataset) -> dict[str, Split | None]:
    return {item.id: item.split for item in data.items}


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 3))
def test_flat(labels: list[int], seed: int) -> None:
    data = assign(dataset(items(labels), 5), seed=seed)
    assert [item.id for item in data.items] == [f"{k}.png" for k in range(len(labels))]
    assert data.declared == frozenset()
    found = table(data)
    for label, n in Counter(labels).items():
        held = max(1, n * 15 // 100)
        assert found[label, "test"] == (held if n > 1 else 0)
        assert found[label, "validation"] == (held if n > 2 else 0)
        assert found[label, "train"] >= 1


@settings(max_examples=60, deadline=None)
@given(LABELS, st.randoms(use_true_random=False), st.booleans())
def test_order_plays_no_part(labels: list[int], shuffler: random.Random, grouped: bool) -> None:
    groups: list[str | None] | None = [f"g{k % 7}" if k % 3 else None for k in range(len(labels))] if grouped else None
    listed = items(labels, groups)
    shuffled = list(listed)
    shuffler.shuffle(shuffled)
    assert by_id(assign(dataset(listed, 5))) == by_id(assign(dataset(shuffled, 5)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=200), st.integers(0, 3))
def test_groups_never_straddle(pairs: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for label, _ in pairs], [f"patient {group}" for _, group in pairs]
    data = assign(dataset(items(labels, list(groups)), 4), seed=seed)
    splits: dict[str | None, set[Split | None]] = {}
    for item in data.items:
        splits.setdefault(item.group, set()).add(item.split)
    assert all(len(found) == 1 for found in splits.values())
    assert all(table(data)[label, "train"] for label in set(labels))


def test_groups_meet_the_shares() -> None:
    chooser = random.Random(0)
    groups = [f"g{chooser.randrange(100)}" for _ in range(2000)]
    label_of = {group: chooser.randrange(3) for group in groups}
    data = assign(dataset(items([label_of[group] for group in groups], list(groups)), 3))
    found = table(data)
    for label in range(3):
        total = sum(found[label, split] for split in SPLITS)
        assert abs(found[label, "train"] / total - 0.70) < 0.04
        assert abs(found[label, "test"] / total - 0.15) < 0.03


def test_groups_of_a_small_class_reach_the_test_too() -> None:
    groups: list[str | None] = ["a", "a", "a", "b", "b", "c"]
    found = table(assign(dataset(items([0] * 6, groups), 1)))
    assert found == {(0, "train"): 3, (0, "test"): 1, (0, "validation"): 2}


def test_the_seed_matters() -> None:
    listed = items([0] * 100)
    assert by_id(assign(dataset(listed, 1), seed=0)) == by_id(assign(dataset(listed, 1), seed=0))
    assert by_id(assign(dataset(listed, 1), seed=0)) != by_id(assign(dataset(listed, 1), seed=1))


def test_adding_images_moves_few() -> None:
    before = by_id(assign(dataset(items([0] * 1000), 1)))
    after = by_id(assign(dataset(items([0] * 1010), 1)))
    assert sum(after[id] != split for id, split in before.items()) < 20


def test_all_declared_stays() -> None:
    listed = [
        *items([0, 1], split="train"),
        *items([0], split="validation", tag="v"),
        *items([1], split="test", tag="t"),
    ]
    data = dataset(listed, 2, frozenset(SPLITS))
    assert assign(data) == data


def test_validation_is_carved_out_of_train() -> None:
    listed = [*items([0] * 100 + [1] * 2 + [2], split="train"), *items([0] * 5, split="test", tag="t")]
    data = assign(dataset(listed, 3, frozenset({"train", "test"})))
    found = table(data)
    assert (found[0, "validation"], found[1, "validation"], found[2, "validation"]) == (10, 1, 0)
    assert found[0, "test"] == 5 and data.declared == {"train", "test"}


def test_the_carved_part_is_limited() -> None:
    labels = [k % 7 for k in range(40_000)]
    listed = [*items(labels, split="train"), *items([0], split="test", tag="t")]
    found = table(assign(dataset(listed, 7)))
    carved = sum(found[label, "validation"] for label in range(7))
    assert CARVED_LIMIT - 7 <= carved <= CARVED_LIMIT


def test_without_a_test_the_validation_becomes_it() -> None:
    listed = [*items([0] * 50, split="train"), *items([0] * 20, split="validation", tag="v")]
    data = assign(dataset(listed, 1, frozenset({"train", "validation"})))
    assert table(data) == {(0, "train"): 45, (0, "validation"): 5, (0, "test"): 20}
    assert all(item.split == "test" for item in data.items if item.id.startswith("v"))
    assert data.declared == {"train", "validation"}


def test_train_only_is_as_flat() -> None:
    flat, declared = items([0] * 40 + [1] * 40), items([0] * 40 + [1] * 40, split="train")
    assert by_id(assign(dataset(flat, 2))) == by_id(assign(dataset(declared, 2, frozenset({"train"}))))


@pytest.mark.parametrize("split", ["test", "validation"])
def test_one_split_that_is_not_train_stays(split: Split) -> None:
    data = dataset(items([0, 1], split=split), 2, frozenset({split}))
    assert assign(data) == data


def test_refused() -> None:
    with pytest.raises(DataError, match="no label"):
        assign(dataset([Item(id="a", source=Path("a"))], 1))
    with pytest.raises(DataError, match="some images only"):
        assign(dataset([*items([0]), *items([0], split="train", tag="t")], 1))


SETS = st.lists(st.sets(st.integers(0, 5), max_size=4), min_size=1, max_size=120)


def tagged(sets: list[set[int]], groups: list[str | None] | None = None) -> Dataset:
    """Items of several classes, or none, each."""
    listed = [
        Item(id=f"{k}.png", source=Path("x"), target=Labels(classes=tuple(sorted(found))), group=group)
        for k, (found, group) in enumerate(zip(sets, groups or [None] * len(sets), strict=True))
    ]
    return dataset(listed, 6)


def tags(data: Dataset) -> Counter[tuple[int, Split]]:
    """Images by class (-1: none of them) and split."""
    pairs = [(c, i.split) for i in data.items if i.target for c in i.target.classes or (-1,) if i.split]
    assert all(item.split in SPLITS for item in data.items)
    return Counter(pairs)


@settings(max_examples=80, deadline=None)
@given(SETS, st.integers(0, 3))
def test_several_labels_reach_train_first(sets: list[set[int]], seed: int) -> None:
    found = tags(assign(tagged(sets), seed=seed))
    assert all(found[c, "train"] for c in {c for one in sets for c in one or {-1}})


@settings(max_examples=60, deadline=None)
@given(SETS, st.randoms(use_true_random=False), st.booleans())
def test_order_plays_no_part_with_several_labels(sets: list[set[int]], shuffler: random.Random, grouped: bool) -> None:
    data = tagged(sets, [f"g{k % 7}" if k % 3 else None for k in range(len(sets))] if grouped else None)
    shuffled = list(data.items)
    shuffler.shuffle(shuffled)
    assert by_id(assign(data)) == by_id(assign(dataset(shuffled, 6)))
    if grouped:
        splits = {(i.group, i.split) for i in assign(data).items if i.group}
        assert len(splits) == len({group for group, _ in splits})


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_keep_their_shares(seed: int) -> None:
    chooser = random.Random(seed)
    sets = [{c for c in range(6) if chooser.random() < 0.6 / (c + 1)} for _ in range(600)]
    data = assign(tagged(sets), seed=seed)
    found = tags(data)
    for c in range(-1, 6):
        total = sum(found[c, split] for split in SPLITS)
        assert abs(found[c, "test"] - 0.15 * total) <= 4
        assert abs(found[c, "validation"] - 0.15 * total) <= 4
    sizes = Counter(item.split for item in data.items)
    assert abs(sizes["train"] - 420) < 25


def test_a_class_of_three_images_is_everywhere() -> None:
    common = [{0} for _ in range(60)]
    for rare in ([{1}, {1}, {1}], [{0, 1}, {0, 1}, {1}], [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}], [{1, 2}, {1, 2}, {1}]):
        found = tags(assign(tagged([*common, *rare])))
        assert all(found[1, split] == 1 for split in SPLITS)


def test_a_class_is_not_torn_from_train_for_another() -> None:
    found = tags(assign(tagged([{0, 1}, {0, 2}, {0, 3}, {0, 4}])))
    assert found[0, "train"] == 4


def test_a_carved_part_holds_the_classes_too() -> None:
    sets = [{0, 1}, {1}, {0}, set()] * 20
    listed = [Item(id=f"{i.id}", source=i.source, target=i.target, split="train") for i in tagged(sets).items]
    last = Item(id="t", source=Path("x"), target=Labels(classes=(0,)), split="test")
    found = tags(assign(dataset([*listed, last], 6, frozenset({"train", "test"}))))
    assert [found[c, "validation"] for c in (-1, 0, 1)] == [2, 4, 4]
    assert found[0, "test"] == 1
