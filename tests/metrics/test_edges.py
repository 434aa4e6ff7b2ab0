"""Perfect and hopeless answers, ties, absent classes, and what is refused."""

import math
from collections.abc import Callable

import pytest
import torch

import visto.metrics.ladder
from visto.errors import ModelError
from visto.metrics import Accuracy, Kappa, Ranking, confusion_matrix, figures, row_rates
from visto.metrics.scored import ScoredMetric
from visto.types import Figure, Label

Fill = Callable[..., list[ScoredMetric]]


def _all(metrics: list[ScoredMetric]) -> dict[str, float]:
    return {name: value for metric in metrics for name, value in metric.compute().items()}


def test_perfect(fill: Fill) -> None:
    found = _all(fill(torch.eye(6).repeat(3, 1), list(range(6)) * 3))
    assert found.pop("log_loss") == pytest.approx(0, abs=1e-6)
    assert found.pop("ece") == 0
    assert set(found.values()) == {1.0}
    assert {"accuracy", "top5_accuracy", "balanced_accuracy", "auroc", "precision", "recall/c5"} <= set(found)


def test_hopeless_and_sure(fill: Fill) -> None:
    found = _all(fill(torch.eye(2).repeat(3, 1), [1, 0] * 3))
    assert found["accuracy"] == found["auroc"] == found["f1"] == 0
    assert found["ece"] == 1
    assert found["log_loss"] == pytest.approx(-math.log(torch.finfo(torch.float32).eps))


def test_equal_scores_are_half_an_auroc_and_top_k_by_chance(fill: Fill) -> None:
    found = _all(fill(torch.full((8, 4), 0.25), [0, 1, 2, 3] * 2))
    assert found["auroc"] == 0.5
    assert found["top2_accuracy"] == 0.5


def test_ranking_by_hand() -> None:
    """Positives 0.8 and 0.4 against negatives 0.6, 0.4, 0.1: wins 3 + 1, ties 1, of 6; precision 1 and 2 of 4."""
    positive = torch.tensor([0.8, 0.4, 0.6, 0.4, 0.1])
    metric = Ranking(["no", "yes"])
    labels = [Label(index=0, scores=torch.stack([1 - p, p])) for p in positive]
    metric.update(torch.arange(5), labels, [Label(index=i) for i in (1, 1, 0, 0, 0)])
    assert metric.compute() == {
        "auroc": pytest.approx(4.5 / 6),
        "average_precision": pytest.approx((1 + 2 / 4) / 2),
    }


def test_ranking_in_blocks_of_classes_is_the_same(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    scores, targets = torch.rand(40, 5), (list(range(5)) * 8)
    whole = _all(fill(scores, targets))
    monkeypatch.setattr(visto.metrics.ladder, "_BLOCK", 80)
    assert _all(fill(scores, targets)) == pytest.approx(whole)


def test_ranking_in_blocks_of_weightings_is_the_same(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    scores, targets = torch.rand(40, 5), (list(range(5)) * 8)
    weights_nr = torch.randint(4, (40, 23)).double()

    def at_once() -> list[list[float]]:
        ranking = next(metric for metric in fill(scores, targets) if isinstance(metric, Ranking))
        return [values.tolist() for values in ranking.compute_many(weights_nr).values()]

    whole = at_once()
    monkeypatch.setattr(visto.metrics.ladder, "_AT_ONCE", 200)
    assert at_once() == whole


def test_kappa_by_hand() -> None:
    """Of 10 images 7 agree; chance agrees on (6·5 + 4·5) of 100."""
    metric = Kappa(["a", "b"])
    pairs = [(0, 0)] * 4 + [(1, 1)] * 3 + [(0, 1)] * 2 + [(1, 0)]
    scores = torch.eye(2)
    predictions = [Label(index=p, scores=scores[p]) for _, p in pairs]
    metric.update(torch.arange(10), predictions, [Label(index=t) for t, _ in pairs])
    assert metric.compute() == {"kappa": pytest.approx((0.7 - 0.5) / (1 - 0.5))}


def test_a_class_always_answered_has_a_kappa_of_0_without_bounds(fill: Fill) -> None:
    found = figures(fill(torch.tensor([[0.9, 0.1]] * 6), [0, 0, 0, 1, 1, 1]), n=6, resamples=50)
    assert found["kappa"] == Figure(value=0.0)


def test_one_class_only(fill: Fill) -> None:
    found = _all(fill(torch.tensor([[0.9, 0.1]] * 4), [0] * 4))
    assert not {"auroc", "average_precision", "kappa"} & set(found)
    assert "recall/c1" not in found
    assert found["recall"] == found["balanced_accuracy"] == found["accuracy"] == 1
    assert _all(fill(torch.ones(3, 1), [0, 0, 0]))["accuracy"] == 1


def test_class_that_is_only_predicted_counts_as_zero(fill: Fill) -> None:
    found = _all(fill(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), [0, 0]))
    assert found["precision/c1"] == found["recall/c1"] == found["f1/c1"] == 0
    assert found["recall"] == 0.25
    assert found["balanced_accuracy"] == 0.5


def test_nothing_seen_or_nothing_weighed_gives_nothing(fill: Fill) -> None:
    assert _all(fill(torch.zeros(0, 3), [])) == {}
    assert all(m.compute(torch.zeros(2)) == {} for m in fill(torch.eye(2), [0, 1]))


def test_order_of_batches_does_not_matter() -> None:
    metric = Accuracy(["a", "b"])
    right, wrong = (Label(index=i, scores=torch.eye(2)[i]) for i in (0, 1))
    metric.update(torch.tensor([2]), [wrong], [Label(index=0)])
    assert metric.compute()["accuracy"] == 0
    metric.update(torch.tensor([1, 0]), [wrong, right], [Label(index=0)] * 2)
    assert metric.rows.tolist() == [0, 1, 2]
    assert metric.compute(torch.tensor([3.0, 1.0, 1.0]))["accuracy"] == pytest.approx(0.6)


def test_half_precision_scores_are_read(fill: Fill) -> None:
    assert _all(fill(torch.eye(3).half(), [0, 1, 2]))["accuracy"] == 1


@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        (Label(index=0), Label(index=0)),
        (Label(index=0, scores=torch.ones(3)), Label(index=0)),
        (Label(index=2, scores=torch.ones(2)), Label(index=0)),
        (Label(index=0, scores=torch.ones(2)), Label(index=2)),
    ],
)
def test_label_of_other_classes_is_refused(prediction: Label, target: Label) -> None:
    with pytest.raises(ValueError, match=r"expected|scores"):
        Accuracy(["a", "b"]).update(torch.arange(1), [prediction], [target])


def test_lengths_rows_and_names_are_checked() -> None:
    label = Label(index=0, scores=torch.ones(2))
    metric = Accuracy(["a", "b"])
    with pytest.raises(ValueError, match="1 predictions for 2 targets"):
        metric.update(torch.arange(1), [label], [label, label])
    with pytest.raises(ValueError, match="rows"):
        metric.update(torch.arange(2), [label], [label])
    with pytest.raises(ValueError, match="unique"):
        Accuracy(["a", "a"])
    metric.update(torch.tensor([4, 4]), [label] * 2, [label] * 2)
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]])
def test_bad_weights_are_refused(fill: Fill, weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        fill(torch.eye(2), [0, 1])[0].compute(torch.tensor(weights))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_the_models_fault(fill: Fill, bad: float) -> None:
    with pytest.raises(ModelError, match="not numbers"):
        fill(torch.tensor([[bad, 0.5]]), [0])


def test_confusion_matrix_and_its_rows() -> None:
    predictions, targets = ([Label(index=i) for i in row] for row in ([0, 1, 1, 1], [0, 0, 1, 1]))
    counts = confusion_matrix(predictions, targets, classes=3)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert confusion_matrix(predictions, targets, classes=3, weights=torch.tensor([2.0, 0, 1, 1]))[0, 0] == 2
    rates, low, high = row_rates(counts)
    assert rates[0].tolist() == [0.5, 0.5, 0]
    assert bool(rates[2].isnan().all()) and bool(low[2].isnan().all())
    assert float(low[1, 1]) == pytest.approx(0.342380, abs=1e-6)
    assert float(high[1, 1]) == 1
    with pytest.raises(ValueError, match="below 1"):
        confusion_matrix(predictions, targets, classes=1)
    with pytest.raises(ValueError, match="3 predictions"):
        confusion_matrix(predictions[1:], targets, classes=3)
