"""Boxes to columns and back, answers in pixels of the original, doubt, other class orders, and what a bundle keeps."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.errors import DataError, ModelError, UsageError
from visto.preprocess import Fit
from visto.tasks.detection import Detection
from visto.types import Answer, Boxes, Label, Size, View

CLASSES = ("cat", "dog", "owl")


def boxes(*rows: tuple[float, float, float, float], labels: list[int], scores: list[float] | None = None) -> Boxes:
    return Boxes(
        xyxy=torch.tensor(rows, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=torch.tensor(scores) if scores is not None else None,
    )


def view(height: int, width: int, side: int = 64, crop: str = "letterbox") -> View:
    return Fit(size=Size(height=side, width=side), channels=3, crop=crop).view(Size(height=height, width=width))


def as_found(columns_nm6: Tensor) -> dict[str, Tensor]:
    """Targets as a head would find them, each with a score."""
    present = columns_nm6[..., 0] >= 0
    return {
        "boxes": columns_nm6[..., 1:5],
        "scores": torch.where(present, 0.9, 0.0),
        "labels": columns_nm6[..., 0].long().clamp_min(0),
    }


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Boxes, int, int]:
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    rows, labels = [], []
    for _ in range(draw(st.integers(0, 4))):
        x0, y0 = draw(st.floats(0, width, width=32)), draw(st.floats(0, height, width=32))
        rows.append((x0, y0, draw(st.floats(x0, width, width=32)), draw(st.floats(y0, height, width=32))))
        labels.append(draw(st.integers(0, 2)))
    return boxes(*rows, labels=labels), height, width


@settings(max_examples=100, deadline=None)
@given(st.lists(pictures(), min_size=1, max_size=3), st.sampled_from(["letterbox", "whole"]))
def test_boxes_come_back_from_the_columns(given_pictures: list[tuple[Boxes, int, int]], crop: str) -> None:
    task = Detection(classes=CLASSES)
    views = [view(height, width, crop=crop) for _, height, width in given_pictures]
    columns = task.collate([target for target, _, _ in given_pictures], views)
    assert tuple(columns.shape) == (len(views), max(len(t) for t, _, _ in given_pictures), 6)
    for (target, height, width), answer in zip(given_pictures, task.answers(as_found(columns), views), strict=True):
        near = 2e-5 * max(height, width, 64)
        sides = (target.xyxy[:, 2:] - target.xyxy[:, :2]).amin(1)
        assert int((sides > 2 * near).sum()) <= len(answer.value) <= len(target), "what has no area is no answer"
        if bool((sides > 2 * near).all()):
            assert torch.equal(answer.value.labels, target.labels)
            assert torch.allclose(answer.value.xyxy, target.xyxy, atol=near)


def test_columns_by_hand() -> None:
    """An image of 200×100 in 64×64: scaled by 0.32, at the top left."""
    target = Boxes(
        xyxy=torch.tensor([[0.0, 0, 200, 100], [100, 50, 150, 75]]),
        labels=torch.tensor([2, 0]),
        ignored=torch.tensor([False, True]),
    )
    empty = boxes(labels=[])
    columns = Detection(classes=CLASSES).collate([target, empty], [view(100, 200), view(8, 8)])
    assert columns.shape == (2, 2, 6)
    assert torch.allclose(columns[0], torch.tensor([[2.0, 0, 0, 64, 32, 0], [0, 32, 16, 48, 24, 1]]))
    assert columns[1, :, 0].tolist() == [-1, -1]


def test_answers_stay_in_the_original_and_may_be_none() -> None:
    task = Detection(classes=CLASSES)
    tensors = {
        "boxes": torch.tensor([[[-9.0, -9, 80, 80], [10, 10, 20, 20]], [[0, 0, 1, 1], [0, 0, 1, 1]]]),
        "scores": torch.tensor([[0.5, 0.25], [0.0, 0.0]]),
        "labels": torch.tensor([[1, 0], [0, 0]]),
    }
    first, second = task.answers(tensors, [view(100, 200), view(64, 64)])
    assert first.value.xyxy[0].tolist() == [0, 0, 200, 100]
    assert np.allclose(first.value.xyxy[1], [31.25, 31.25, 62.5, 62.5])
    assert len(second.value) == 0
    assert task.to_json(second) == {"answers": [], "abstain": False}
    assert json.loads(json.dumps(task.to_json(first)))["answers"][0] == {
        "label": "dog", "score": 0.5, "box": [0, 0, 200, 100]
    }  # fmt: skip


def test_doubt_leaves_out_boxes() -> None:
    task = Detection(classes=CLASSES, threshold=0.5)
    answer = Answer(value=boxes(*[(0, 0, 9, 9)] * 4, labels=[0, 1, 2, 0], scores=[0.9, 0.5, 0.4, 0.001]))
    for threshold, left in ((None, 2), (0.0, 4), (0.4, 3), (0.95, 0), (1.0, 0)):
        found = task.doubt(answer, threshold=threshold, confidence=None)
        assert len(found.value) == left
        assert found.abstain is None
    with pytest.raises(UsageError, match="confidence"):
        task.doubt(answer, threshold=None, confidence=0.9)


def test_other_orders_of_classes() -> None:
    task = Detection(classes=CLASSES)
    target = Boxes(
        xyxy=torch.arange(8).reshape(2, 4).float(), labels=torch.tensor([0, 2]), crowd=torch.tensor([True, False])
    )
    found = task.relabel(target, {0: 1, 2: 0})
    assert found.labels.tolist() == [1, 0]
    assert (
        torch.equal(found.xyxy, target.xyxy)
        and found.crowd is not None
        and target.crowd is not None
        and torch.equal(found.crowd, target.crowd)
    )
    assert task.reorder(Answer(value=target), {0: 2, 2: 1}).value.labels.tolist() == [2, 1]
    assert len(task.relabel(boxes(labels=[]), {})) == 0
    with pytest.raises(DataError, match="where"):
        task.relabel(Label(index=0), {0: 0})


def test_what_a_bundle_keeps_builds_it_again() -> None:
    task = Detection(classes=CLASSES, threshold=0.37)
    again = Detection(classes=CLASSES, **json.loads(json.dumps(task.arguments())))
    assert again.arguments() == task.arguments()
    with pytest.raises(ModelError, match="threshold"):
        Detection(classes=CLASSES, threshold=1.5)
    with pytest.raises(DataError, match="class"):
        Detection(classes=())


def test_no_mosaics_at_the_end() -> None:
    task = Detection(classes=CLASSES)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    targets = torch.full((4, 1, 6), -1.0)

    def at(done: float) -> Tensor:
        return task.augment(images, targets, ["mosaic"], torch.Generator().manual_seed(1), None, done)[0]

    assert not torch.equal(at(0.5), images)
    assert torch.equal(at(0.9), images)
