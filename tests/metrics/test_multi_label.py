"""Figures of labels in the plural equal scikit-learn's, weighted and not, with ties and classes that no image has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import visto.metrics.ladder
from visto.errors import ModelError
from visto.metrics import (
    MultiLabelAccuracy,
    MultiLabelCalibration,
    MultiLabelPrecisionRecall,
    MultiLabelRanking,
    figures,
    wilson,
)
from visto.metrics.multi_label import MultiLabelMetric
from visto.types import Labels

Array = np.ndarray[Any, Any]


def labels(members: Array | torch.Tensor, scores: torch.Tensor | None = None) -> list[Labels]:
    rows = [tuple(int(k) for k in np.flatnonzero(row)) for row in np.asarray(members)]
    return [Labels(classes=row, scores=None if scores is None else scores[n]) for n, row in enumerate(rows)]


def fill(scores: torch.Tensor, predicted: Array, targets: Array, *, batch: int = 1000) -> list[MultiLabelMetric]:
    classes = [f"c{k}" for k in range(scores.shape[1])]
    kinds = (MultiLabelAccuracy, MultiLabelPrecisionRecall, MultiLabelRanking, MultiLabelCalibration)
    metrics: list[MultiLabelMetric] = [kind(classes) for kind in kinds]
    answers, truths = labels(predicted, scores), labels(targets)
    for start in range(0, len(truths), batch):
        rows = torch.arange(start, min(start + batch, len(truths)))
        for metric in metrics:
            metric.update(rows, answers[start : start + batch], truths[start : start + batch])
    return metrics


def computed(metrics: Sequence[MultiLabelMetric], weights: torch.Tensor | None = None) -> dict[str, float]:
    return {name: value for metric in metrics for name, value in metric.compute(weights).items()}


def _ece(scores: Array, targets: Array, weights: Array) -> float:
    """Naeini et al. 2015 over all decisions, as it is written."""
    score, truth = scores.ravel(), targets.ravel()
    weight = np.repeat(weights, scores.shape[1])
    total = 0.0
    for b in range(15):
        low, high = np.array([b / 15, (b + 1) / 15], dtype=score.dtype)
        inside = (score > low) & (score <= high) if b else score <= high
        if weight[inside].sum() > 0:
            gap = np.average(truth[inside], weights=weight[inside]) - np.average(score[inside], weights=weight[inside])
            total += weight[inside].sum() / weight.sum() * abs(gap)
    return total


def expected(scores: Array, predicted: Array, targets: Array, w: Array) -> dict[str, float]:
    classes = range(scores.shape[1])
    present = [k for k in classes if targets[:, k].any() or predicted[:, k].any()]
    positive = [k for k in classes if targets[:, k].any()]
    both = [k for k in positive if not targets[:, k].all()]
    losses = [sk.log_loss(targets[:, k], scores[:, k], sample_weight=w, labels=[0, 1]) for k in classes]
    found = {
        "exact_match": sk.accuracy_score(targets, predicted, sample_weight=w),
        "hamming_accuracy": 1 - sk.hamming_loss(targets, predicted, sample_weight=w),
        "log_loss": float(np.mean(losses)),
        "ece": _ece(scores, targets, w),
    }
    if positive:
        each = [sk.average_precision_score(targets[:, k], scores[:, k], sample_weight=w) for k in positive]
        found["mean_average_precision"] = float(np.mean(each))
    if both:
        areas = [sk.roc_auc_score(targets[:, k], scores[:, k], sample_weight=w) for k in both]
        found["auroc"] = float(np.mean(areas))
    if present:
        chosen = {"sample_weight": w, "labels": present, "zero_division": 0}
        found["micro_f1"] = sk.f1_score(targets, predicted, average="micro", **chosen)
        for average in ("macro", None):
            values = sk.precision_recall_fscore_support(targets, predicted, average=average, **chosen)
            for name, value in zip(("precision", "recall", "f1"), values[:3], strict=True):
                named = {name: value} if average else {f"{name}/c{k}": v for k, v in zip(present, value, strict=True)}
                found |= {key: float(v) for key, v in named.items()}
    return found


@st.composite
def answered(draw: st.DrawFn) -> tuple[torch.Tensor, Array, Array, Array]:
    """Scores (with ties where they are coarse), answers, truths (some classes never), and weights above 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, classes = draw(st.integers(1, 50)), draw(st.integers(2, 6))  # scikit-learn takes one column for one label
    steps = draw(st.sampled_from([2, 10, 10**6]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    scores = torch.from_numpy(rng.integers(0, steps + 1, size=(n, classes)) / steps).to(dtype)
    predicted = (scores.numpy() > draw(st.sampled_from([0.2, 0.5, 1.0]))).astype(int)
    targets = (rng.random((n, classes)) < rng.choice([0, 0.1, 0.5, 1], size=classes)).astype(int)
    return scores, predicted, targets, rng.uniform(0.1, 3, size=n)


@pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn's, of a single class
@settings(max_examples=100, deadline=None)
@given(case=answered(), weighted=st.booleans())
def test_every_figure_equals_scikit_learn(case: tuple[torch.Tensor, Array, Array, Array], weighted: bool) -> None:
    scores, predicted, targets, weights = case
    weights = weights if weighted else np.ones_like(weights)
    wanted = expected(scores.numpy(), predicted, targets, weights)
    got = computed(fill(scores, predicted, targets, batch=7), torch.from_numpy(weights) if weighted else None)
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    exact = set(wanted) - {"log_loss", "ece"} if scores.dtype == torch.float32 else set(wanted)
    assert {k: got[k] for k in exact} == pytest.approx({k: wanted[k] for k in exact}, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(case=answered(), seed=st.integers(0, 1000))
def test_whole_weights_equal_repeated_images(case: tuple[torch.Tensor, Array, Array, Array], seed: int) -> None:
    """Weight 0 is an image that is not there, even where its class vanishes with it."""
    scores, predicted, targets, _ = case
    times = np.random.default_rng(seed).integers(0, 3, size=len(targets))
    many = fill(
        scores.repeat_interleave(torch.from_numpy(times), dim=0),
        np.repeat(predicted, times, axis=0),
        np.repeat(targets, times, axis=0),
    )
    got = computed(fill(scores, predicted, targets), torch.from_numpy(times))
    assert got == pytest.approx(computed(many), rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(case=answered(), seed=st.integers(0, 1000))
def test_an_image_of_weight_0_is_absent(case: tuple[torch.Tensor, Array, Array, Array], seed: int) -> None:
    scores, predicted, targets, weights = case
    keep = np.random.default_rng(seed).random(len(targets)) < 0.5
    kept = torch.from_numpy(keep)
    fewer = fill(scores[kept], predicted[keep], targets[keep])
    got = computed(fill(scores, predicted, targets), torch.from_numpy(weights * keep))
    assert got == pytest.approx(computed(fewer, torch.from_numpy(weights[keep])), rel=1e-9, abs=1e-12)


def test_weightings_together_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.random((50, 4)))
    weights = torch.randint(0, 4, (50, 6)).double()
    for metric in fill(scores, scores.numpy() > 0.5, rng.random((50, 4)) > 0.7):
        together = metric.compute_many(weights)
        for r in range(6):
            assert {k: float(v[r]) for k, v in together.items()} == pytest.approx(metric.compute(weights[:, r]))


def by_hand() -> Mapping[str, float]:
    """Three images, two classes. Truths {0}, {0, 1}, {}; answers {0}, {0}, {1}."""
    scores = torch.tensor([[0.9, 0.2], [0.6, 0.4], [0.1, 0.8]], dtype=torch.float64)
    return computed(fill(scores, np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0], [1, 1], [0, 0]])))


def test_by_hand() -> None:
    found = by_hand()
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["hamming_accuracy"] == pytest.approx(4 / 6)
    assert (found["precision/c0"], found["recall/c0"], found["f1/c0"]) == (1, 1, 1)
    assert (found["precision/c1"], found["recall/c1"], found["f1/c1"]) == (0, 0, 0)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["mean_average_precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["auroc"] == pytest.approx((1 + 0.5) / 2)
    right = [0.9, 0.8, 0.6, 0.4, 0.9, 0.2]
    assert found["log_loss"] == pytest.approx(-sum(map(math.log, right)) / 6)


def test_perfect_answers_are_bounded_by_wilson() -> None:
    members = np.eye(2, dtype=int).repeat(10, axis=0)
    found = figures(fill(torch.from_numpy(members).double(), members, members), n=20, resamples=50)
    assert found["exact_match"].low == pytest.approx(float(wilson(torch.tensor(20.0), torch.tensor(20.0))[0]))
    assert found["recall/c1"].low == pytest.approx(float(wilson(torch.tensor(10.0), torch.tensor(10.0))[0]))
    assert found["f1/c1"] == found["recall/c1"]
    assert found["exact_match"].high == found["recall/c1"].high == 1


def test_images_without_any_label() -> None:
    nothing = np.zeros((4, 3), dtype=int)
    found = computed(fill(torch.full((4, 3), 0.1), nothing, nothing))
    assert set(found) == {"exact_match", "hamming_accuracy", "log_loss", "ece"}
    assert found["exact_match"] == found["hamming_accuracy"] == 1
    assert found["ece"] == pytest.approx(0.1)
    assert computed(fill(torch.zeros(0, 3), nothing[:0], nothing[:0])) == {}


def test_ranking_in_blocks_of_classes_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores, targets = torch.from_numpy(rng.random((30, 7))), rng.random((30, 7)) > 0.4
    whole = computed(fill(scores, targets, targets))
    monkeypatch.setattr(visto.metrics.ladder, "_BLOCK", 10**9)
    monkeypatch.setattr(visto.metrics.ladder, "_blocks", lambda members_cn: [(0, len(members_cn))])
    assert computed(fill(scores, targets, targets)) == pytest.approx(whole)


def test_labels_of_other_classes_are_refused() -> None:
    metric = MultiLabelAccuracy(["a", "b"])
    two = torch.rand(2)
    with pytest.raises(ValueError, match="expected less than 2"):
        metric.update(torch.arange(1), [Labels(classes=(2,), scores=two)], [Labels(classes=())])
    with pytest.raises(ValueError, match="expected less than 2"):
        metric.update(torch.arange(1), [Labels(classes=(), scores=two)], [Labels(classes=(0, 5))])
    with pytest.raises(ValueError, match="2 scores"):
        metric.update(torch.arange(1), [Labels(classes=())], [Labels(classes=())])
    with pytest.raises(ModelError, match="not numbers"):
        metric.update(torch.arange(1), [Labels(classes=(), scores=two * math.nan)], [Labels(classes=())])
