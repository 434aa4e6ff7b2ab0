"""Detection's figures in cases small enough to work out by hand, and what they refuse."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.test_boxes_against_coco import random_boxes
from visto.errors import ModelError
from visto.metrics import (
    AveragePrecision,
    BoxPrecisionRecall,
    best_threshold,
    box_confusion,
    figures,
    fit_box_scores,
    paired,
    pr_curve,
    recall_by_size,
)
from visto.metrics.box_matching import ALL, THRESHOLDS, match_boxes
from visto.metrics.precision_steps import POINTS, _run
from visto.types import Boxes

SQUARE = [0.0, 0.0, 10.0, 10.0]  # targets of the cases below: squares of 10 pixels, 20 apart


def square(place: int, *, cut: float = 0.0) -> list[float]:
    """The square at a place; ``cut`` of its width is missing, so that its IoU with the whole is 1 - cut."""
    return [20.0 * place, 0.0, 20.0 * place + 10 * (1 - cut), 10.0]


def boxes(
    xyxy: Sequence[Sequence[float]],
    labels: Sequence[int],
    scores: Sequence[float] | None = None,
    *,
    ignored: Sequence[bool] | None = None,
    crowd: Sequence[bool] | None = None,
) -> Boxes:
    return Boxes(
        xyxy=torch.tensor(xyxy).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=None if scores is None else torch.tensor(scores),
        ignored=None if ignored is None else torch.tensor(ignored),
        crowd=None if crowd is None else torch.tensor(crowd),
    )


def taken(prediction: Boxes, target: Boxes) -> list[int]:
    """The target that each detection takes at IoU 0.5, by falling score."""
    found: list[int] = match_boxes([prediction], [target], thresholds=[0.5], ranges=ALL).target[:, 0, 0].tolist()
    return found


def precision_recall(prediction: Boxes, target: Boxes, *, threshold: float) -> dict[str, float]:
    metric = BoxPrecisionRecall(["a", "b"], threshold)
    metric.update(torch.tensor([0]), [prediction], [target])
    return dict(metric.compute())


def test_the_highest_score_chooses_first_and_the_best_target() -> None:
    target = boxes([square(0), square(0, cut=0.3)], [0, 0])
    second = boxes([square(0, cut=0.1), square(0, cut=0.1)], [0, 0], [0.5, 0.9])
    assert taken(second, target) == [0, 1]
    assert taken(boxes([square(0, cut=0.25)], [0], [0.5]), target) == [1]
    assert taken(boxes([square(0)], [1], [0.5]), target) == [-1]


def test_of_equal_targets_the_last_is_taken() -> None:
    target = boxes([square(0), square(0)], [0, 0])
    assert taken(boxes([square(0)] * 3, [0] * 3, [0.5] * 3), target) == [1, 0, -1]


def test_an_ignored_target_is_taken_only_where_no_other_is_left() -> None:
    target = boxes([square(0), square(0, cut=0.4)], [0, 0], ignored=[True, False])
    assert taken(boxes([square(0)] * 3, [0] * 3, [0.9, 0.8, 0.7]), target) == [1, 0, -1]


def test_a_crowd_is_taken_again_and_again() -> None:
    target = boxes([[0.0, 0.0, 100.0, 100.0]], [0], ignored=[True], crowd=[True])
    prediction = boxes(
        [square(0), square(1), square(0, cut=0.5), [90.0, 0.0, 130.0, 10.0]], [0] * 4, [0.4, 0.3, 0.2, 0.1]
    )
    assert taken(prediction, target) == [0, 0, 0, -1]
    alone = boxes([[0.0, 0.0, 100.0, 100.0]], [0], ignored=[True])
    assert taken(prediction, alone) == [-1] * 4


def test_a_box_exactly_at_the_threshold_is_found() -> None:
    assert taken(boxes([square(0, cut=0.5)], [0], [0.5]), boxes([SQUARE], [0])) == [0]


def test_average_precision_by_hand() -> None:
    """Two targets; a hit, a miss, a hit: precision 1 up to recall 0.5 (51 points), then 2/3 (50 points)."""
    metric = AveragePrecision(["a", "b"])
    prediction = boxes([square(0), square(5), square(1, cut=0.22)], [0, 0, 0], [0.9, 0.8, 0.7])
    metric.update(torch.tensor([0]), [prediction], [boxes([square(0), square(1)], [0, 0])])
    both, one = (51 + 50 * 2 / 3) / 101, 51 / 101
    expected = {"map50": both, "map50/a": both, "map75": both, "map": (6 * both + 4 * one) / 10}
    expected |= {"map/a": expected["map"], "map_small": expected["map"]}
    assert metric.compute() == pytest.approx(expected)
    curves = pr_curve([prediction], [boxes([square(0), square(1)], [0, 0])], classes=2)
    assert curves.shape == (2, 2, 101)
    assert curves[0, 0].tolist() == pytest.approx([1.0] * 51 + [2 / 3] * 50)
    assert bool(curves[:, 1].isnan().all())


def test_precision_and_recall_by_hand() -> None:
    target = boxes([square(0), square(1), square(2), square(3)], [0, 0, 1, 1], ignored=[False, False, False, True])
    prediction = boxes(
        [square(0), square(0), square(1), square(2), square(3)], [0, 0, 1, 1, 1], [0.9, 0.8, 0.7, 0.2, 0.6]
    )
    values = precision_recall(prediction, target, threshold=0.5)
    assert values == pytest.approx(
        {"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "precision/a": 0.5, "recall/a": 0.5, "f1/a": 0.5}
        | {"precision/b": 0.0, "recall/b": 0.0, "f1/b": 0.0}
    )
    values = precision_recall(prediction, target, threshold=0.2)  # a score at the threshold is an answer
    assert (values["precision"], values["recall"], values["recall/b"]) == pytest.approx((0.5, 2 / 3, 1.0))


def test_what_is_not_there_has_no_figures() -> None:
    nothing, ignored = boxes([], [], []), boxes([SQUARE], [1], ignored=[True])
    assert precision_recall(nothing, nothing, threshold=0.5) == {}
    assert precision_recall(boxes([SQUARE], [1], [0.9]), ignored, threshold=0.5) == {}
    only = precision_recall(boxes([SQUARE], [0], [0.9]), ignored, threshold=0.5)
    assert only == {name + end: 0.0 for name in ("precision", "recall", "f1") for end in ("", "/a")}
    metric = AveragePrecision(["a"])
    assert metric.compute() == {}
    metric.update(torch.arange(2), [boxes([SQUARE], [0], [0.9]), nothing], [nothing, nothing])
    assert metric.compute() == {}
    assert recall_by_size([], [], threshold=0.5) == {"small": (0, 0), "medium": (0, 0), "large": (0, 0)}
    assert box_confusion([], [], classes=1, threshold=0.5).tolist() == [[0, 0], [0, 0]]
    assert pr_curve([], [], classes=1).isnan().all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.25, 0.4, 1.0]))
def test_one_matching_serves_every_threshold(seed: int, threshold: float) -> None:
    predictions, targets = random_boxes(np.random.default_rng(seed), 4, 2)
    metric = BoxPrecisionRecall(["a", "b"], threshold)
    metric.update(torch.arange(4), predictions, targets)
    matches = match_boxes(predictions, targets, thresholds=[0.5], ranges=ALL)
    chosen = matches.score >= threshold
    assert int(metric.columns["hits"].sum()) == matches.hit[chosen].sum()
    assert int(metric.columns["predicted"].sum()) == matches.counts[chosen].sum()
    assert int(metric.columns["targets"].sum()) == matches.asked.sum()


def test_scores_are_compared_in_their_own_precision() -> None:
    """0.7 as float32 is below 0.7 as float64."""
    assert precision_recall(boxes([SQUARE], [0], [0.7]), boxes([SQUARE], [0]), threshold=0.7)["recall"] == 1.0


def test_many_weightings_of_precision_and_recall() -> None:
    random = np.random.default_rng(5)
    predictions, targets = random_boxes(random, 8, 3)
    metric = BoxPrecisionRecall(["a", "b", "c"], 0.3)
    metric.update(torch.arange(8), predictions, targets)
    weights = torch.tensor(random.integers(0, 3, (8, 12))).double()
    many = metric.compute_many(weights)
    for r in range(12):
        copies = np.repeat(np.arange(8), weights[:, r].numpy().astype(int))
        again = BoxPrecisionRecall(["a", "b", "c"], 0.3)
        again.update(torch.arange(len(copies)), [predictions[i] for i in copies], [targets[i] for i in copies])
        assert again.compute() == pytest.approx({k: float(v[r]) for k, v in many.items() if not v[r].isnan()})


def test_best_threshold() -> None:
    """Between the lowest right score and the highest wrong one: a half if that is there, else midway in log-odds."""
    target = boxes([square(0), square(1)], [0, 0])
    good = boxes([square(0), square(1), square(7)], [0, 0, 0], [0.9, 0.6, 0.2])
    assert best_threshold([good] * 6, [target] * 6) == 0.5
    weak = boxes([square(0), square(1), square(7)], [0, 0, 0], [0.3, 0.2, 0.1])
    odds = (math.log(0.2 / 0.8) + math.log(0.1 / 0.9)) / 2
    assert best_threshold([weak] * 6, [target] * 6) == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_no_threshold_is_much_better_than_the_best(seed: int) -> None:
    predictions, targets = random_boxes(np.random.default_rng(seed), 40, 2)

    def f1(threshold: float) -> float:
        metric = BoxPrecisionRecall(["a", "b"], threshold)
        metric.update(torch.arange(40), predictions, targets)
        return metric.compute()["f1"]

    assert f1(best_threshold(predictions, targets)) > max(f1(t / 8) for t in range(9)) - 0.05


def test_best_threshold_with_nothing_to_go_by() -> None:
    target, nothing = boxes([square(0)], [0]), boxes([], [], [])
    assert best_threshold([], []) == 0.5
    assert best_threshold([boxes([square(0)], [0], [0.1])] * 4, [target] * 4) == 0.5
    assert best_threshold([nothing] * 9, [target] * 9) == 0.5
    assert best_threshold([boxes([square(3)], [0], [0.1])] * 9, [target] * 9) == 0.5
    assert best_threshold([boxes([square(0)], [0], [0.1])] * 9, [nothing] * 9) == 0.5


def test_recall_by_size() -> None:
    sizes = [[0.0, 0, 10, 10], [0.0, 0, 32, 32], [100.0, 0, 200, 200]]  # 32² is small and medium
    target = boxes(sizes, [0, 0, 1])
    prediction = boxes(sizes[1:], [0, 1], [0.9, 0.3])
    found = recall_by_size([prediction], [target], threshold=0.5)
    assert found == {"small": (1, 2), "medium": (1, 1), "large": (0, 1)}


def test_confusion_by_hand() -> None:
    target = boxes([square(0), square(1), square(2), square(3)], [0, 1, 0, 0], ignored=[False, False, False, True])
    prediction = boxes(
        [square(0), square(0), square(1), square(3), square(8), square(2)],
        [1, 0, 1, 1, 0, 0],
        [0.9, 0.8, 0.7, 0.6, 0.55, 0.1],
    )
    table = box_confusion([prediction], [target], classes=2, threshold=0.5)
    # the first square went to the wrong class, so the right one found nothing; the third was missed
    assert table.tolist() == [[0, 1, 1], [0, 1, 0], [2, 0, 0]]
    assert table.dtype == torch.int64


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_confusion_adds_up(seed: int) -> None:
    predictions, targets = random_boxes(np.random.default_rng(seed), 5, 3, many=120)
    table = box_confusion(predictions, targets, classes=3, threshold=0.0)
    for k in range(3):
        asked = [(t.labels == k) & (t.ignored == 0) for t in targets if t.ignored is not None]
        assert int(table[k].sum()) == sum(int(a.sum()) for a in asked)
        assert int(table[:, k].sum()) <= sum(int((p.labels == k).sum()) for p in predictions)
    assert int(table[3, 3]) == 0


def test_intervals_and_pairs() -> None:
    predictions, targets = random_boxes(np.random.default_rng(6), 30, 2)
    both = []
    for shift in (0.0, 3.0):
        moved = [Boxes(xyxy=p.xyxy + shift, labels=p.labels, scores=p.scores) for p in predictions]
        metrics = [AveragePrecision(["a", "b"]), BoxPrecisionRecall(["a", "b"], 0.2)]
        for metric in metrics:
            metric.update(torch.arange(30), moved, targets)
        both.append(metrics)
    known = figures(both[0], n=30, resamples=100)
    low, high = known["map"].low, known["map"].high
    assert low is not None and high is not None and 0 < low < known["map"].value < high < 1
    difference = paired(both[0], both[1], n=30, resamples=100).difference["map"]
    assert difference.value < 0 and difference.high is not None


@pytest.mark.parametrize("metric", [AveragePrecision(["a"]), BoxPrecisionRecall(["a"], 0.5)])
def test_what_is_refused(metric: AveragePrecision | BoxPrecisionRecall) -> None:
    row, good = torch.tensor([0]), boxes([SQUARE], [0], [0.5])
    with pytest.raises(ValueError, match="1 predictions for 0 targets"):
        metric.update(row, [good], [])
    with pytest.raises(ValueError, match="no scores"):
        metric.update(row, [boxes([SQUARE], [0])], [good])
    with pytest.raises(ValueError, match="classes 0 to 1, expected 0 to 0"):
        metric.update(row, [good], [boxes([SQUARE], [1])])
    with pytest.raises(ModelError):
        metric.update(row, [boxes([SQUARE], [0], [math.nan])], [good])
    with pytest.raises(ValueError, match="rows"):
        metric.update(torch.arange(2), [good], [good])


def test_thresholds_and_recalls_are_pycocotools() -> None:
    assert np.linspace(0.5, 0.95, 10).tolist() == THRESHOLDS
    np.testing.assert_array_equal(np.arange(POINTS) * 0.01, np.linspace(0, 1, POINTS))


@pytest.mark.parametrize("shape", [(0, 3), (1, 4), (7, 400), (50, 300), (1000, 40), (30, 1)])
def test_running_sums_and_maxima(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 9, shape).astype(float)
    np.testing.assert_array_equal(_run(np.add, values.copy()), np.cumsum(values, axis=0))
    upwards = _run(np.maximum, values.copy()[::-1])[::-1]
    np.testing.assert_array_equal(upwards, np.maximum.accumulate(values[::-1], axis=0)[::-1])


@pytest.mark.parametrize("sure", [-3.0, 0.0, 2.0, 4.0])
def test_calibrated_scores_are_chances(sure: float) -> None:
    """Labels drawn by a known curve from scores that claim too much, or too little: the curve is found again."""
    random = np.random.default_rng(0)
    odds = random.normal(sure, 1.5, 20_000)
    right = random.random(20_000) < 1 / (1 + np.exp(-(0.6 * odds - 1)))
    scores = torch.from_numpy(1 / (1 + np.exp(-odds)))
    xyxy = torch.arange(100)[:, None] * torch.tensor([20.0, 0, 20, 0]) + torch.tensor(SQUARE)
    labels = torch.zeros(100, dtype=torch.int64)
    said = [Boxes(xyxy=xyxy, labels=labels, scores=some) for some in scores.view(-1, 100)]
    true = [Boxes(xyxy=xyxy[some], labels=labels[some]) for some in torch.from_numpy(right).view(-1, 100)]
    temperature, shift = fit_box_scores(said, true)
    assert 1 / temperature == pytest.approx(0.6, abs=0.06)
    assert shift == pytest.approx(-1, abs=0.2)


def test_too_little_to_calibrate_by() -> None:
    assert fit_box_scores([boxes([SQUARE], [0], [0.9])], [boxes([SQUARE], [0])]) == (1.0, 0.0)
