"""A split for every item: what the data declares is kept, what is missing is drawn by hashes of the ids.

    declared                      train            validation       test
    nothing, or train only        70 %             15 %             15 %
    train, test                   the rest         10 %, ≤ 2,500    as declared
    train, validation             the rest         10 %, ≤ 2,500    the declared validation
    train, validation, test       as declared

Each class is drawn on its own (stratified), and a group never straddles two splits that are drawn. Where an image may
have several classes, or none (several labels, or boxes), the rarest is drawn first (iterative stratification, Sechidis
et al. 2011). The draw depends on ids, labels, groups and the seed, not on the order of the items. A series to foretell
is split by time instead (``visto.data.windows``).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from visto.data.dataset import Dataset, Item
from visto.errors import DataError
from visto.types import Boxes, Labels, Split

HELD_OUT_PERCENT = 15
CARVED_PERCENT = 10
CARVED_LIMIT = 2_500

_Name = tuple[str, str]  # of a group: what it is named by (group or item), and the name


@dataclass(frozen=True, slots=True)
class _Part:
    """A fraction (``over`` / ``under``: whole numbers, so exact) of what is drawn from."""

    split: Split
    over: int
    under: int

    def of(self, count: int) -> int:
        """How many of ``count`` images of one class: at least 1, else rounded down, so that a limit holds."""
        return max(1, count * self.over // self.under)


def assign(dataset: Dataset, *, seed: int = 0) -> Dataset:
    """The same data set with a split for every item. ``declared`` stays what the data came with.

    Small classes: the first image of a class goes to train, the second to the test (or the carved validation), the
    third to validation. With groups the shares are met as nearly as whole groups allow, and a class that lives in a
    single group is all in train. With several classes an image train has every class, and the parts drawn have every
    class of three images or more, unless its images are all that another class has. Raises DataError for an item
    without a target, or where only some have a split.
    """
    if dataset.task == "forecast":  # split by time, where it was cut
        return dataset
    without = next((item.id for item in dataset.items if item.target is None), None)
    if without is not None:
        raise DataError(f"{without} has no label", expected="a label for every image")
    have = {item.split for item in dataset.items}
    if None in have and len(have) > 1:
        raise DataError("a split for some images only", expected="a split for every image, or for none")
    if have <= {None, "train"}:
        parts = [_Part("test", HELD_OUT_PERCENT, 100), _Part("validation", HELD_OUT_PERCENT, 100)]
        return _drawn(dataset, dataset.items, parts, seed)
    if "train" not in have or have == {"train", "validation", "test"}:
        return dataset
    if "test" not in have:
        held = [replace(item, split="test") if item.split == "validation" else item for item in dataset.items]
        dataset = replace(dataset, items=tuple(held))
    pool = [item for item in dataset.items if item.split == "train"]
    few = len(pool) * CARVED_PERCENT <= CARVED_LIMIT * 100
    part = _Part("validation", CARVED_PERCENT, 100) if few else _Part("validation", CARVED_LIMIT, len(pool))
    return _drawn(dataset, pool, [part], seed)


def _drawn(dataset: Dataset, pool: Sequence[Item], parts: Sequence[_Part], seed: int) -> Dataset:
    if any(item.group is not None for item in pool):
        drawn = _by_groups(pool, parts, seed)
    elif {type(item.target) for item in pool} & {Labels, Boxes}:
        drawn = _by_labels(pool, parts, seed)
    else:
        drawn = _by_items(pool, parts, seed)
    items = [
        item if item.split == (split := drawn.get(item.id, item.split)) else replace(item, split=split)
        for item in dataset.items
    ]
    return replace(dataset, items=tuple(items))


def _order(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _classes_of(item: Item) -> tuple[int, ...]:
    """Its classes; to have none of them is drawn like a class too, -1."""
    return (item.target.classes if item.target is not None else ()) or (-1,)


def _by_items(pool: Sequence[Item], parts: Sequence[_Part], seed: int) -> dict[str, Split]:
    """Split by item id, class by class: the first so many in the order of their hashes to each part."""
    by_class: dict[int, list[str]] = defaultdict(list)
    for item in pool:
        by_class[_classes_of(item)[0]].append(item.id)
    drawn: dict[str, Split] = {}
    for ids in by_class.values():
        ids.sort(key=partial(_order, seed))
        start = 0
        for part in parts:
            stop = min(start + part.of(len(ids)), len(ids) - 1)
            drawn.update(dict.fromkeys(ids[start:stop], part.split))
            start = stop
        drawn.update(dict.fromkeys(ids[start:], "train"))
    return drawn


def _by_labels(pool: Sequence[Item], parts: Sequence[_Part], seed: int) -> dict[str, Split]:
    """Split by item id where an image has any number of classes: those of the rarest first, in order of their hashes.

    Each image goes to the part that its class lacks most, then to the one that lacks most images. What the images of
    rarer classes bring with them counts for the others.
    """
    classes_of = {item.id: _classes_of(item) for item in pool}
    ids_of: dict[int, list[str]] = defaultdict(list)
    for id in sorted(classes_of, key=partial(_order, seed)):
        for c in classes_of[id]:
            ids_of[c].append(id)
    left = {c: len(ids) for c, ids in ids_of.items()}
    shares = _Shares(parts, dict(left), len(pool))
    while left:
        rarest = min(left, key=lambda c: (left[c], c))
        for id in ids_of[rarest]:
            if id not in shares.chosen:
                shares.put(id, classes_of[id], shares.lacking_most(rarest, classes_of[id]))
                for c in classes_of[id]:
                    left[c] -= 1
        left = {c: n for c, n in left.items() if n}
    shares.give_each_class(classes_of)
    return shares.chosen


class _Shares:
    """Images on their way into splits, and what each split still lacks of each class and in all."""

    def __init__(self, parts: Sequence[_Part], totals: Mapping[int, int], images: int) -> None:
        self.totals = totals
        # train first: at equal need it comes before the test, and the test before validation
        self.lack: dict[Split, dict[int, int]] = {"train": {}}
        self.room: dict[Split, float] = {"train": images}
        for part in parts:
            self.lack[part.split] = {}
            self.room[part.split] = images * part.over / part.under
            self.room["train"] -= self.room[part.split]
        for c, n in totals.items():
            rest = n
            for part in parts:
                self.lack[part.split][c] = min(part.of(n), rest - 1)
                rest -= self.lack[part.split][c]
            self.lack["train"][c] = rest
        self.filled: dict[Split, Counter[int]] = {split: Counter() for split in self.lack}
        self.chosen: dict[str, Split] = {}

    def lacking_most(self, c: int, inside: Sequence[int]) -> Split:
        """Where an image with the classes ``inside``, drawn for ``c``, should go; train while one of them has none."""
        if not all(self.filled["train"][k] for k in inside):
            return "train"
        return max(self.lack, key=lambda split: (self.lack[split][c] - self.filled[split][c], self.room[split]))

    def put(self, id: str, classes: Sequence[int], split: Split) -> None:
        if id in self.chosen:
            self.filled[self.chosen[id]].subtract(classes)
            self.room[self.chosen[id]] += 1
        self.chosen[id] = split
        self.filled[split].update(classes)
        self.room[split] -= 1

    def give_each_class(self, classes_of: Mapping[str, Sequence[int]]) -> None:
        """Move images to the splits that lack a class of theirs which has enough images for all, where none is lost."""
        for split in self.lack:
            missing = {c for c in self.totals if self.lack[split][c] and not self.filled[split][c]}
            for id in list(self.chosen) if missing else ():
                inside, here = classes_of[id], self.chosen[id]
                spare = all(self.filled[here][c] > 1 or not self.lack[here][c] for c in inside)
                if here != split and spare and missing & set(inside):
                    self.put(id, inside, split)
                    missing -= set(inside)


def _by_groups(pool: Sequence[Item], parts: Sequence[_Part], seed: int) -> dict[str, Split]:
    """Split by item id, whole groups at a time; an item without a group is a group of its own."""
    groups: dict[_Name, list[Item]] = defaultdict(list)
    for item in pool:
        groups[("item", item.id) if item.group is None else ("group", item.group)].append(item)
    counts = {name: Counter(c for item in members for c in _classes_of(item)) for name, members in groups.items()}
    # The largest first: the small ones then even out what the large ones missed.
    order = sorted(counts, key=lambda name: (-counts[name].total(), _order(seed, "\0".join(name))))
    filling = _Filling(parts, {name: counts[name] for name in order})
    for name in order:
        filling.put(name, filling.best(name))
    for part in parts:
        filling.give_each_class(part.split)
    return {item.id: filling.chosen[name] for name, members in groups.items() for item in members}


class _Filling:
    """Groups on their way into splits, and how full each split is of each class."""

    def __init__(self, parts: Sequence[_Part], counts: Mapping[_Name, Counter[int]]) -> None:
        self.counts = counts
        self.totals: Counter[int] = sum(counts.values(), Counter())
        self.wanted: dict[Split, dict[int, float]] = {
            part.split: {c: n * part.over / part.under for c, n in self.totals.items()} for part in parts
        }
        self.wanted["train"] = {c: n - sum(self.wanted[p.split][c] for p in parts) for c, n in self.totals.items()}
        self.filled: dict[Split, Counter[int]] = {split: Counter() for split in self.wanted}
        self.chosen: dict[_Name, Split] = {}

    def best(self, name: _Name) -> Split:
        """Where the group brings its classes nearest to their shares; train while one of them has none there."""
        inside = sorted(self.counts[name].items())
        if any(not self.filled["train"][c] for c, _ in inside):
            return "train"

        def gain(split: Split) -> float:
            """By how much the squared miss of the shares shrinks, as parts of each class."""
            gaps = ((self.wanted[split][c] - self.filled[split][c], n, c) for c, n in inside)
            return sum(n * (2 * gap - n) / self.totals[c] ** 2 for gap, n, c in gaps)

        return max(self.wanted, key=gain)

    def put(self, name: _Name, split: Split) -> None:
        if name in self.chosen:
            self.filled[self.chosen[name]].subtract(self.counts[name])
        self.chosen[name] = split
        self.filled[split].update(self.counts[name])

    def give_each_class(self, split: Split) -> None:
        """Move the smallest train group of each class that ``split`` lacks, where train keeps all its classes."""
        lacking = {c for c in self.totals if not self.filled[split][c]}
        for name in reversed(list(self.counts)):
            inside = self.counts[name]
            if (
                self.chosen[name] == "train"
                and lacking & inside.keys()
                and all(self.filled["train"][c] > n for c, n in inside.items())
            ):
                self.put(name, split)
                lacking -= inside.keys()
