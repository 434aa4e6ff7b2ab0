"""What is judged, and against which labels; a recogniser that reads the answer off the pixels keeps it exact."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from visto.data.dataset import Dataset, Item, PixelRow, content_digest
from visto.errors import DataError
from visto.evaluation import Evaluation, evaluate
from visto.preprocess import Fit
from visto.tasks.classification import Classification
from visto.types import Answer, Label, Silent, Size, Split, Task, View


class Oracle:
    """Says class k of an image whose pixels are all k."""

    def __init__(self, classes: tuple[str, ...], seen: Sequence[int] = ()) -> None:
        self.classes = classes
        self.task: Task[Any, Any] = Classification(classes=classes)
        self.fit = Fit(size=Size(height=2, width=2), channels=1)
        digests = [list(content_digest(np.full((2, 2, 1), k, dtype=np.uint8))) for k in seen]
        self.seen: Mapping[str, Tensor] = {"train": torch.tensor(digests, dtype=torch.uint8).reshape(-1, 16)}

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        index = images_nchw[:, 0, 0, 0].long() % 10
        return {"scores": torch.nn.functional.one_hot(index, len(self.classes)).float()}

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)


def dataset(
    *rows: tuple[int, Split, int], classes: tuple[str, ...] = ("a", "b", "c"), declared: set[Split] | None = None
) -> Dataset:
    """Items of (content, split, class)."""
    array = np.stack([np.full((2, 2, 1), content, dtype=np.uint8) for content, _, _ in rows])
    items = tuple(
        Item(id=str(k), source=PixelRow(array, k), target=Label(index=label), split=split)
        for k, (_, split, label) in enumerate(rows)
    )
    return Dataset(
        name="made",
        format="npz",
        task="classification",
        classes=classes,
        items=items,
        declared=frozenset(declared or set()),
    )


def judged(data: Dataset, seen: Sequence[int] = (), split: Split | None = None) -> Evaluation:
    oracle = Oracle(("a", "b", "c"), seen)
    return evaluate(oracle, data, task="classification", split=split, threads=1, voice=Silent())


ROWS: list[tuple[int, Split, int]] = [(0, "train", 0), (11, "validation", 1), (2, "test", 2), (10, "test", 1)]


def test_a_declared_test_split_is_taken() -> None:
    found = judged(dataset(*ROWS, declared={"train", "validation", "test"}))
    assert (found.split, found.n, found.figures["accuracy"].value) == ("test", 2, 0.5)
    assert found.details["confusion"]["counts"] == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_flat_data_is_taken_whole_but_for_what_was_seen() -> None:
    found = judged(dataset(*ROWS), seen=[0, 11])
    assert (found.split, found.n, found.left_out) == ("all", 2, 2)


def test_seen_images_are_judged_only_when_asked_by_name() -> None:
    found = judged(dataset(*ROWS), seen=[0], split="train")
    assert (found.n, found.seen, found.left_out) == (1, 1, 0)
    with pytest.raises(DataError, match="no image is left"):
        judged(dataset(ROWS[0]), seen=[0])


def test_classes_are_matched_by_name() -> None:
    found = judged(dataset((1, "test", 0), (2, "test", 1), classes=("b", "c")))
    assert found.figures["accuracy"].value == 1


def test_a_class_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="'zebra'"):
        judged(dataset((1, "test", 0), (2, "test", 1), classes=("b", "zebra")))


def test_a_split_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="no images in validation"):
        judged(dataset(ROWS[0]), split="validation")
