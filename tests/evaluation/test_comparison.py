"""Two recognisers on the same images: what is compared, in which order, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from visto.data.dataset import Dataset, Item, PixelRow, content_digest
from visto.errors import DataError, UsageError
from visto.evaluation import Comparison, compare
from visto.evaluation.verdict import verdict
from visto.metrics import McNemar, mcnemar
from visto.preprocess import Fit
from visto.tasks import TASKS
from visto.types import Answer, Figure, Label, Labels, Silent, Size, Split, Task, View

CLASSES = ("a", "b", "c")


class Guesser:
    """Has the scores ``table`` (256×K, over ``classes``) for an image whose pixels are all k."""

    def __init__(
        self,
        table: Tensor,
        classes: tuple[str, ...] = CLASSES,
        seen: Sequence[int] = (),
        size: int = 2,
        task: str = "classification",
    ) -> None:
        self.classes = classes
        self.table = table
        self.task: Task[Any, Any] = TASKS[task](classes=classes)
        self.fit = Fit(size=Size(height=size, width=size), channels=1)
        digests = [list(content_digest(np.full((2, 2, 1), k, dtype=np.uint8))) for k in seen]
        self.seen: Mapping[str, Tensor] = {"train": torch.tensor(digests, dtype=torch.uint8).reshape(-1, 16)}

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        assert images_nchw.shape[2:] == (self.fit.size.height, self.fit.size.width)
        return {"scores": self.table[images_nchw[:, 0, 0, 0].long()]}

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)


def scores(seed: int, better: float = 0.0) -> Tensor:
    """Random scores; ``better`` lifts the true class, which is k % 3."""
    generator = torch.Generator().manual_seed(seed)
    lifted = torch.nn.functional.one_hot(torch.arange(256) % 3, 3) * better
    return (torch.randn(256, 3, generator=generator, dtype=torch.float64) + lifted).softmax(1)


def dataset(n: int = 120, groups: int = 0, split: Split | None = None) -> Dataset:
    """Image k is of class k % 3, in group k % ``groups``."""
    array = np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(2, axis=1).repeat(2, axis=2)
    items = tuple(
        Item(
            id=str(k),
            source=PixelRow(array, k),
            target=Label(index=k % 3),
            split=split,
            group=f"g{k % groups}" if groups else None,
        )
        for k in range(n)
    )
    return Dataset(name="made", format="npz", task="classification", classes=CLASSES, items=items)


def compared(a: Guesser, b: Guesser, data: Dataset, split: Split | None = None) -> Comparison:
    tasks = ("classification", "classification")
    return compare(a, b, data, tasks=tasks, split=split, threads=1, voice=Silent())


def bounds(figure: Figure) -> tuple[float, float]:
    assert figure.low is not None and figure.high is not None
    return figure.low, figure.high


def test_a_better_model_is_called_better() -> None:
    found = compared(Guesser(scores(0)), Guesser(scores(1, better=3)), dataset())
    right = [(scores(seed, better)[:120].argmax(1) == torch.arange(120) % 3) for seed, better in ((0, 0), (1, 3))]
    assert found.n == 120
    assert found.a["accuracy"].value == pytest.approx(float(right[0].double().mean()))
    assert found.b["accuracy"].value == pytest.approx(float(right[1].double().mean()))
    assert found.difference["accuracy"].value == pytest.approx(
        found.b["accuracy"].value - found.a["accuracy"].value, abs=1e-12
    )
    assert found.mcnemar == mcnemar(*right)
    assert bounds(found.difference["accuracy"])[0] > 0
    assert found.verdict.startswith("B is better than A by ")
    assert found.verdict.endswith("McNemar p < 0.0001")


@settings(max_examples=15, deadline=None)
@given(
    seeds=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
    better=st.floats(0, 2),
    n=st.integers(1, 60),
    groups=st.sampled_from([0, 7]),
)
def test_the_other_way_round_is_the_negative(seeds: tuple[int, int], better: float, n: int, groups: int) -> None:
    a, b = Guesser(scores(seeds[0])), Guesser(scores(seeds[1], better))
    one, other = (compared(*pair, dataset(n, groups)) for pair in ((a, b), (b, a)))
    assert (one.a, one.b) == (other.b, other.a)
    assert set(one.difference) == set(other.difference)
    for name, figure in one.difference.items():
        turned = other.difference[name]
        assert figure.value == -turned.value
        assert (figure.low is None) == (turned.low is None)
        if figure.low is not None:
            low, high = bounds(turned)
            assert bounds(figure) == pytest.approx((-high, -low), abs=1e-12)
    assert one.mcnemar is not None and other.mcnemar is not None
    assert one.mcnemar.p == other.mcnemar.p
    assert (one.mcnemar.only_first, one.mcnemar.only_second) == (other.mcnemar.only_second, other.mcnemar.only_first)
    swapped = one.verdict.replace("better", "x").replace("worse", "better")
    assert swapped.replace("x", "worse") == other.verdict or one.verdict.startswith("no difference")


def test_a_model_does_not_differ_from_itself() -> None:
    a = Guesser(scores(0))
    found = compared(a, a, dataset())
    assert set(found.difference) == set(found.a)
    assert set(found.difference.values()) == {Figure(value=0.0)}
    assert found.mcnemar == McNemar(only_first=0, only_second=0, p=1.0)
    assert found.verdict == "no difference: A and B give the same answer, with the same scores, to every image"


def test_classes_in_another_order_are_the_same_classes() -> None:
    a, turned = Guesser(scores(0)), Guesser(scores(0)[:, [2, 0, 1]], classes=("c", "a", "b"))
    found = compared(a, turned, dataset())
    assert set(found.difference.values()) == {Figure(value=0.0)}
    assert found.classes == CLASSES
    assert compared(turned, a, dataset()).a["accuracy"] == found.a["accuracy"]


def test_models_of_other_input_sizes_meet() -> None:
    found = compared(Guesser(scores(0), size=2), Guesser(scores(0), size=5), dataset())
    assert set(found.difference.values()) == {Figure(value=0.0)}


def test_what_either_has_seen_is_left_out() -> None:
    a, b = Guesser(scores(0), seen=range(10)), Guesser(scores(1), seen=range(5, 20))
    found = compared(a, b, dataset(120))
    assert (found.n, found.left_out, found.seen) == (100, 20, (0, 0))
    asked = compared(a, b, dataset(120, split="test"), split="test")
    assert (asked.n, asked.left_out, asked.seen) == (120, 0, (10, 15))
    with pytest.raises(DataError, match="12 in all, 10 of them were used to make A, 7 to make B"):
        compared(a, b, dataset(12))


def test_images_that_cannot_be_read_are_left_out_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))
    items = []
    for k in range(4):
        path = tmp_path / f"{k}.png"
        Image.new("L", (2, 2), k).save(path)
        items.append(Item(id=path.name, source=path, target=Label(index=k % 3)))
    (tmp_path / "1.png").write_bytes(b"no image")
    data = replace(dataset(1), items=tuple(items))
    found = compared(Guesser(scores(0)), Guesser(scores(1), size=3), data)
    assert found.n == 3
    assert found.to_json()["ledger"] == {"kept": 3, "repaired": 0, "rejected": 1}


def test_groups_are_drawn_whole() -> None:
    """Thirty images of each group, all alike: there are four to tell by, not 120."""
    same = torch.arange(256) % 4
    wrong, better = torch.eye(3)[(torch.arange(256) + 1) % 3], torch.eye(3)[torch.arange(256) % 3]
    b = Guesser(torch.where((same < 3)[:, None], better, wrong))
    alone, together = (compared(Guesser(wrong), b, dataset(groups=groups)) for groups in (0, 4))
    assert (alone.groups, together.groups) == (0, 4)
    assert alone.difference["accuracy"].value == together.difference["accuracy"].value == 0.75
    assert together.mcnemar is not None and alone.mcnemar is not None
    assert together.mcnemar.p == 0.125 > alone.mcnemar.p
    assert alone.verdict.startswith("B is better")
    assert together.verdict.startswith("no difference can be told: B minus A is 75.0 points of accuracy")


def test_models_that_cannot_be_compared() -> None:
    a = Guesser(scores(0))
    with pytest.raises(UsageError, match="only A knows 'c'; only B knows 'd'"):
        compared(a, Guesser(scores(0), classes=("a", "b", "d")), dataset())
    with pytest.raises(UsageError, match=r"only A knows 'c'\n"):
        compared(a, Guesser(scores(0)[:, :2], classes=("a", "b")), dataset())
    with pytest.raises(UsageError, match="A does classification, B does other"):
        compare(a, a, dataset(), tasks=("classification", "other"), split=None, threads=1, voice=Silent())
    with pytest.raises(DataError, match="'zebra'"):
        compared(a, a, replace(dataset(), classes=("a", "b", "zebra")))


def test_labels_in_the_plural() -> None:
    """Image k has the classes of the bits of k; B has them all right, and lists its classes in another order."""
    bits = (torch.arange(256)[:, None] >> torch.arange(3)) % 2
    truths = [Labels(classes=tuple(row.nonzero().flatten().tolist())) for row in bits]
    data = dataset(60)
    items = tuple(replace(item, target=truths[k]) for k, item in enumerate(data.items))
    a = Guesser(torch.full((256, 3), 0.1), task="multilabel")
    b = Guesser((bits[:, [1, 2, 0]] * 0.8 + 0.1), classes=("b", "c", "a"), task="multilabel")
    found = compare(
        a,
        b,
        replace(data, items=items, task="multilabel"),
        tasks=("multilabel", "multilabel"),
        split=None,
        threads=1,
        voice=Silent(),
    )
    assert found.b["exact_match"].value == found.b["recall/c"].value == found.b["mean_average_precision"].value == 1
    assert found.a["exact_match"].value == pytest.approx(8 / 60)
    assert found.mcnemar is not None and found.mcnemar.only_second == 52
    assert found.verdict.startswith("B is better than A by 86.7 points of exact match (")


def test_json() -> None:
    found = compared(Guesser(scores(0)), Guesser(scores(1)), dataset()).to_json()
    assert {"task", "split", "n", "a", "b", "difference", "mcnemar", "verdict"} <= set(found)
    right = found["mcnemar"]
    assert isinstance(right, dict) and set(right) == {"only_a_right", "only_b_right", "p"}


def said(value: float, low: float, high: float, right: McNemar, **more: Any) -> str:
    figure = Figure(value=value, low=low, high=high)
    return verdict({"accuracy": figure}, right, "accuracy", n=1000, **{"grouped": False, "alike": False, **more})


def test_verdicts() -> None:
    right = McNemar(only_first=10, only_second=22, p=0.03)
    assert said(0.012, 0.003, 0.021, right) == (
        "B is better than A by 1.2 points of accuracy (0.3 to 2.1); McNemar p = 0.03"
    )
    assert said(-0.01, -0.021, -0.003, right) == (
        "B is worse than A by 1.0 point of accuracy (0.3 to 2.1); McNemar p = 0.03"
    )
    few = McNemar(only_first=20, only_second=23, p=0.65)
    doubt = "no difference can be told: B minus A is 0.3 points of accuracy (-1.0 to 1.6); McNemar p = 0.65"
    assert said(0.003, -0.01, 0.016, few, grouped=True) == doubt
    assert said(0.003, -0.01, 0.016, few) == (
        f"{doubt}; were it the true difference, some 38,000 images would show it four times in five"
    )
    assert "some 38,000 series would show it" in said(0.003, -0.01, 0.016, few, noun="series")
    none = said(-0.0001, -0.01, 0.01, McNemar(only_first=5, only_second=5, p=1.0))
    assert none == "no difference can be told: B minus A is 0.0 points of accuracy (-1.0 to 1.0); McNemar p = 1.00"


def test_neither_the_interval_nor_the_test_alone_is_enough() -> None:
    assert said(0.01, 0.001, 0.02, McNemar(only_first=0, only_second=4, p=0.0625)).startswith("no difference can be")
    assert said(0.01, 0.0, 0.02, McNemar(only_first=0, only_second=9, p=0.002)).startswith("no difference can be")


def test_the_same_images_right_with_other_scores() -> None:
    figure = {"exact_match": Figure(value=0.0)}
    none = McNemar(only_first=0, only_second=0, p=1.0)
    assert verdict(figure, none, "exact_match", n=9, grouped=False, alike=False) == (
        "no difference in exact match: A and B are right on the same images, with other scores"
    )
