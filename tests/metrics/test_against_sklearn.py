"""Every figure equals scikit-learn's, weighted and not, on random data with ties, gaps and single classes."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from visto.metrics.scored import ScoredMetric

Fill = Callable[..., list[ScoredMetric]]
Arrays = tuple[torch.Tensor, np.ndarray[Any, Any], np.ndarray[Any, Any]]


def _ece(scores: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> float:
    """Guo et al. 2017, equation 3, as it is written."""
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == targets
    total = 0.0
    for b in range(15):
        low, high = np.array([b / 15, (b + 1) / 15], dtype=confidence.dtype)
        inside = (confidence > low) & (confidence <= high)
        w = weights[inside]
        if w.sum() > 0:
            gap = np.average(correct[inside], weights=w) - np.average(confidence[inside], weights=w)
            total += w.sum() / weights.sum() * abs(gap)
    return total


def _expected(scores: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> dict[str, float]:
    classes = scores.shape[1]
    labels, predicted = list(range(classes)), scores.argmax(axis=1)
    present = sorted({*targets.tolist(), *predicted.tolist()})
    k = 5 if classes > 5 else 2
    figures = {
        "accuracy": sk.accuracy_score(targets, predicted, sample_weight=w),
        "log_loss": sk.log_loss(targets, scores, sample_weight=w, labels=labels),
        "ece": _ece(scores, targets, w),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are only predicted
        figures["balanced_accuracy"] = sk.balanced_accuracy_score(targets, predicted, sample_weight=w)
    if classes > 2:
        figures[f"top{k}_accuracy"] = sk.top_k_accuracy_score(targets, scores, k=k, sample_weight=w, labels=labels)
    for average in ("macro", None):
        values = sk.precision_recall_fscore_support(
            targets, predicted, average=average, sample_weight=w, labels=present, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), values[:3], strict=True):
            each = {name: value} if average else {f"{name}/c{c}": v for c, v in zip(present, value, strict=True)}
            figures |= {key: float(v) for key, v in each.items()}
    if set(targets.tolist()) == set(labels):
        areas = [sk.roc_auc_score(targets == c, scores[:, c], sample_weight=w) for c in labels]
        figures["auroc"] = areas[1] if classes == 2 else float(np.mean(areas))
        found = [sk.average_precision_score(targets == c, scores[:, c], sample_weight=w) for c in labels]
        figures["average_precision"] = found[1] if classes == 2 else float(np.mean(found))
    if len(present) > 1:
        figures["kappa"] = sk.cohen_kappa_score(targets, predicted, sample_weight=w)
    return figures


@st.composite
def answered(draw: st.DrawFn) -> Arrays:
    """Scores (with ties where they are coarse), targets that may miss classes, and weights above 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, classes = draw(st.integers(1, 60)), draw(st.sampled_from([2, 3, 5, 7]))
    raw = rng.integers(1, draw(st.sampled_from([3, 10, 10**6])), size=(n, classes)).astype(np.float64)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    scores = torch.from_numpy(raw / raw.sum(axis=1, keepdims=True)).to(dtype)
    targets = rng.integers(0, draw(st.integers(1, classes)), size=n)
    return scores, targets, rng.uniform(0.1, 3, size=n)


@settings(max_examples=80, deadline=None)
@given(case=answered(), weighted=st.booleans())
def test_every_figure_equals_scikit_learn(fill: Fill, case: Arrays, weighted: bool) -> None:
    scores, targets, weights = case
    if not weighted:
        weights = np.ones_like(weights)
    expected = _expected(scores.numpy(), targets, weights)
    given_weights = torch.from_numpy(weights) if weighted else None
    got = {k: v for m in fill(scores, targets.tolist(), batch=7) for k, v in m.compute(given_weights).items()}
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-7)
    exact = {"kappa", "auroc", "average_precision"} & set(expected)
    assert {k: got[k] for k in exact} == pytest.approx({k: expected[k] for k in exact}, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(case=answered(), seed=st.integers(0, 1000))
def test_whole_weights_equal_repeated_images(fill: Fill, case: Arrays, seed: int) -> None:
    """Weight 0 is an image that is not there, even where its class vanishes with it."""
    scores, targets, _ = case
    times = np.random.default_rng(seed).integers(0, 3, size=len(targets))
    repeated = torch.from_numpy(times)
    many = fill(scores.repeat_interleave(repeated, dim=0), np.repeat(targets, times).tolist())
    expected = {k: v for m in many for k, v in m.compute().items()}
    got = {k: v for m in fill(scores, targets.tolist()) for k, v in m.compute(repeated).items()}
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_weightings_together_equal_one_by_one(fill: Fill) -> None:
    torch.manual_seed(0)
    scores, targets = torch.rand(50, 4).softmax(dim=1), torch.randint(0, 4, (50,)).tolist()
    weights = torch.randint(0, 4, (50, 6)).double()
    for metric in fill(scores, targets):
        together = metric.compute_many(weights)
        for r in range(6):
            assert {k: float(v[r]) for k, v in together.items()} == pytest.approx(metric.compute(weights[:, r]))
