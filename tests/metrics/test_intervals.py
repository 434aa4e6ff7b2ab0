"""Wilson's interval, the bootstrap over images and groups, and paired differences."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor

from visto.metrics import Accuracy, PrecisionRecall, figures, paired, wilson
from visto.metrics.intervals import bootstrap, percentile_figure, weightings
from visto.metrics.scored import ScoredMetric
from visto.types import Figure, Label

Fill = Callable[..., list[ScoredMetric]]


class Mean:
    """The plainest metric: no batched path, and a figure that may be missing."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def update(self, rows: Tensor, predictions: Sequence[Label], targets: Sequence[Label]) -> None:
        raise NotImplementedError

    def compute(self, weights: Tensor | None = None) -> Mapping[str, float]:
        weights = torch.ones(len(self.values)).double() if weights is None else weights
        mean = {"mean": float((self.values * weights).sum() / weights.sum())}
        return {**mean, "first": 1.0, "broken": math.nan} if weights[0] > 0 else mean


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_equals_scipy(n: int, share: float) -> None:
    k = round(n * share)
    expected = binomtest(k, n).proportion_ci(method="wilson")
    low, high = wilson(torch.tensor(k).double(), torch.tensor(n).double())
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= float(low) <= k / n <= float(high) <= 1


def test_wilson_of_nothing_is_nan() -> None:
    low, high = wilson(torch.tensor(0.0), torch.tensor(0.0))
    assert math.isnan(float(low)) and math.isnan(float(high))


def test_weightings_draw_n_images_and_depend_on_seed_and_number_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.cat(list(weightings(30, resamples=11, seed=3)), dim=1)
    assert whole.shape == (30, 11)
    assert whole.sum(dim=0).tolist() == [30] * 11
    monkeypatch.setattr("visto.metrics.intervals._CHUNK", 60)
    assert torch.equal(torch.cat(list(weightings(30, resamples=11, seed=3)), dim=1), whole)
    assert not torch.equal(torch.cat(list(weightings(30, resamples=11, seed=4)), dim=1), whole)


def test_groups_are_drawn_whole() -> None:
    groups = ["a", "b", None, "a", None]
    weights = torch.cat(list(weightings(5, resamples=50, groups=groups)), dim=1)
    assert torch.equal(weights[0], weights[3])
    assert not torch.equal(weights[2], weights[4])
    assert bool((weights.sum(dim=0) - weights[0] == 4).all())  # four draws among four groups, one of them of two
    with pytest.raises(ValueError, match="5 groups for 6 images"):
        next(weightings(6, groups=groups))


def test_bootstrap_covers_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        metric = Mean(torch.from_numpy(rng.normal(size=60)))
        figure = _mean(metric, 60, trial)
        assert figure.low is not None and figure.high is not None
        held += figure.low <= 0 <= figure.high
    assert 0.88 <= held / 200 <= 0.99


def _mean(metric: Mean, n: int, seed: int) -> Figure:
    def many(weights_nr: Tensor) -> Mapping[str, Tensor]:
        return {"mean": metric.values @ weights_nr / n}

    return percentile_figure(float(metric.values.mean()), bootstrap(many, n, resamples=400, seed=seed)["mean"])


def test_groups_widen_the_interval() -> None:
    """Ten images a group, alike: the interval must be √10 times as wide."""
    values = torch.from_numpy(np.random.default_rng(1).normal(size=100)).repeat_interleave(10)
    metric = Mean(values)
    alone = figures([metric], n=1000, resamples=300)["mean"]
    together = figures([metric], n=1000, resamples=300, groups=[str(i // 10) for i in range(1000)])["mean"]
    assert _width(together) / _width(alone) == pytest.approx(math.sqrt(10), rel=0.25)


def _width(figure: Figure) -> float:
    assert figure.low is not None and figure.high is not None
    return figure.high - figure.low


def test_metric_without_a_batched_path_and_with_missing_figures() -> None:
    found = figures([Mean(torch.arange(4.0))], n=4, resamples=100)
    assert set(found) == {"mean", "first"}  # NaN is left out
    assert found["first"] == Figure(value=1.0)


def test_figure_missing_from_whole_chunks_stays_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visto.metrics.intervals._CHUNK", 4)  # one resample a chunk
    chunks = iter([{"a": 1.0}, {"b": 2.0}, {"a": 3.0, "b": 4.0}])

    def compute(weights_nr: Tensor) -> Mapping[str, Tensor]:
        return {name: torch.tensor([value]).double() for name, value in next(chunks).items()}

    samples = bootstrap(compute, 4, resamples=3)
    assert samples["a"].nan_to_num(-1).tolist() == [1, -1, 3]
    assert samples["b"].nan_to_num(-1).tolist() == [-1, 2, 4]


def test_percentile_figure_without_bounds() -> None:
    assert percentile_figure(1.0, None) == Figure(value=1.0)
    assert percentile_figure(1.0, torch.ones(9)) == Figure(value=1.0)
    assert percentile_figure(1.0, torch.tensor([1.0, math.nan, math.nan])) == Figure(value=1.0)
    assert percentile_figure(0.0, torch.tensor([1.0, 2.0])).low == 0.0  # holds the value


def test_plain_proportions_use_wilson_and_the_rest_the_bootstrap(fill: Fill) -> None:
    torch.manual_seed(0)
    scores = torch.rand(80, 3).softmax(dim=1)
    targets = torch.randint(0, 3, (80,)).tolist()
    metrics = fill(scores, targets)
    found = figures(metrics, n=80, resamples=200)
    right = round(found["accuracy"].value * 80)
    expected = binomtest(right, 80).proportion_ci(method="wilson")
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((expected.low, expected.high))
    hits = sum(int(row.argmax()) == t == 0 for row, t in zip(scores, targets, strict=True))
    expected = binomtest(hits, targets.count(0)).proportion_ci(method="wilson")
    assert (found["recall/c0"].low, found["recall/c0"].high) == pytest.approx((expected.low, expected.high))
    for name in ("f1", "f1/c1", "balanced_accuracy", "log_loss", "auroc", "ece", "precision"):
        figure = found[name]
        assert figure.low is not None and figure.high is not None
        assert figure.low < figure.high and figure.low <= figure.value <= figure.high
    own_groups = figures(metrics, n=80, resamples=200, groups=[str(i) for i in range(80)])
    assert own_groups == found
    grouped = figures(metrics, n=80, resamples=200, groups=[str(i // 2) for i in range(80)])
    assert grouped["accuracy"].value == found["accuracy"].value
    assert grouped["accuracy"].low != found["accuracy"].low


def test_perfect_answers_are_not_claimed_to_be_certain(fill: Fill) -> None:
    found = figures(fill(torch.eye(2).repeat(10, 1), [0, 1] * 10), n=20, resamples=50)
    assert found["f1"] == Figure(value=1.0, low=found["recall/c0"].low, high=1.0)
    assert found["accuracy"].low == pytest.approx(0.8389, abs=1e-4)
    assert found["accuracy"].high == 1.0


def test_nothing_seen_has_no_figures(fill: Fill) -> None:
    assert figures(fill(torch.zeros(0, 2), []), n=0) == {}


def test_class_never_predicted_has_no_precision_bounds(fill: Fill) -> None:
    found = figures(fill(torch.tensor([[0.9, 0.1]] * 6), [0, 0, 0, 1, 1, 1]), n=6, resamples=50)
    assert found["precision/c1"] == Figure(value=0.0)
    assert found["recall/c1"].high is not None


def test_paired_difference_is_narrower_and_signed(fill: Fill) -> None:
    torch.manual_seed(1)
    targets = torch.randint(0, 3, (300,))
    scores = torch.rand(300, 3) + torch.nn.functional.one_hot(targets, 3) * 0.6
    better = scores.clone()
    better[:40] = torch.eye(3)[targets[:40]]
    first, second = fill(scores.softmax(dim=1), targets.tolist()), fill(better.softmax(dim=1), targets.tolist())
    difference = paired(first, second, n=300, resamples=300).difference["accuracy"]
    assert difference.value > 0
    assert difference.low is not None and difference.low > 0
    assert _width(difference) < _width(figures(first, n=300)["accuracy"])
    same = paired(first, first, n=300, resamples=50).difference
    assert same["accuracy"] == same["log_loss"] == Figure(value=0.0)


def test_paired_difference_needs_the_same_images(fill: Fill) -> None:
    with pytest.raises(ValueError, match="same images"):
        paired(fill(torch.eye(2), [0, 1]), fill(torch.eye(2)[:1], [0]), n=2)


def test_a_perfect_figure_is_no_surer_than_what_it_rests_on() -> None:
    metrics: list[ScoredMetric] = [Accuracy(("a", "b")), PrecisionRecall(("a", "b"))]
    scores = torch.eye(2)[[0] * 30 + [1] * 10]
    labels = [Label(index=int(row.argmax()), scores=row) for row in scores]
    for metric in metrics:
        metric.update(torch.arange(40), labels, labels)
    found = figures(metrics, n=40)
    assert found["accuracy"].low == pytest.approx(40 / (40 + 1.959964**2))
    assert found["f1/b"] == found["recall/b"]
    assert found["f1"].low == found["recall/b"].low == pytest.approx(10 / (10 + 1.959964**2))
