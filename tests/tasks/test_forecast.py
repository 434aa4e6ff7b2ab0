"""Forecasting: loss, answers with bounds, calibration."""

import pytest
import torch

from visto.errors import DataError, UsageError
from visto.metrics.intervals import figures
from visto.models.forecaster import naive
from visto.tasks.forecast import LEVELS, Forecast
from visto.types import Answer, Batch, Future


def test_loss_and_look_by_hand() -> None:
    task = Forecast(classes=["a"], window=2, horizon=1, mean=[10.0], std=[2.0])
    model = naive(classes=1, channels=1, size=[], window=2, horizon=1)
    seen = torch.tensor([[[0.0], [1.0]], [[0.0], [0.0]]])  # in units of deviation: last values 12 and 10
    targets = task.collate([Future(values=torch.tensor([[14.0]])), Future(values=torch.tensor([[10.0]]))])
    loss = task.loss(model, Batch(inputs={"images": seen}, targets=targets, rows=torch.arange(2)))
    assert float(loss.total) == 0.5  # one deviation off, then none
    look = task.look(task.keep(model(seen)), targets)
    assert look == {"loss": 0.5, "mse": 2.0}
    (first, _) = task.answers(task.head(model(seen)), [])
    assert first.value.values.tolist() == [[12.0]]
    assert first.value.low is None


def test_bounds_hold_as_often_as_they_say() -> None:
    torch.manual_seed(0)
    task = Forecast(classes=["a", "b"], window=3, horizon=2, mean=[1.0, 2.0], std=[3.0, 4.0])
    said = {name: torch.zeros(4000, 2, 2) for name in ("forecast", "linear", "naive")}
    truth = torch.tensor([1.0, 2.0]) + torch.randn(4000, 2, 2) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    targets = [Future(values=row) for row in truth]
    half = {name: value[:2000] for name, value in said.items()}
    made = task.calibrated(half, targets[:2000])
    assert len(made.quantiles) == len(LEVELS)
    answers = made.answers(made.head({name: value[2000:] for name, value in said.items()}), [])
    metrics = made.metrics()
    metrics[0].update(torch.arange(2000), [a.value for a in answers], targets[2000:])
    assert figures(metrics, n=2000)["coverage"].value == pytest.approx(0.9, abs=0.01)
    wide = made.doubt(answers[0], threshold=None, confidence=0.97)
    assert wide.value.confidence == 0.98
    assert wide.value.high is not None
    assert wide.value.high[1, 1] - wide.value.values[1, 1] == pytest.approx(2.33 * 4, rel=0.1)


def test_too_few_to_promise_much() -> None:
    task = Forecast(classes=["a"], window=3)
    said = {name: torch.zeros(9, 1, 1) for name in ("forecast", "linear", "naive")}
    made = task.calibrated(said, [Future(values=torch.tensor([[float(k)]])) for k in range(9)])
    assert len(made.quantiles) == 5
    answer = Answer(value=Future(values=torch.zeros(1, 1)))
    with pytest.raises(DataError, match=r"confidence of 0\.95") as error:
        made.doubt(answer, threshold=None, confidence=0.95)
    assert error.value.expected == "at most 0.9"
    with pytest.raises(UsageError, match="threshold"):
        made.doubt(answer, threshold=0.5, confidence=None)


def test_json_and_another_order() -> None:
    task = Forecast(classes=["a", "b"], window=3, horizon=1)
    answer = Answer(value=Future(values=torch.tensor([[1.0, 2.0]])))
    assert task.to_json(answer) == {
        "answers": [{"step": 1, "column": "a", "value": 1.0}, {"step": 1, "column": "b", "value": 2.0}],
        "abstain": False,
    }
    assert task.reorder(answer, {0: 1, 1: 0}).value.values.tolist() == [[2.0, 1.0]]
    assert task.alike(answer, answer, overlap=0.5, within=0.0, least=0.0).same == 1


def test_without_a_column() -> None:
    with pytest.raises(DataError, match="no column"):
        Forecast(classes=[])
