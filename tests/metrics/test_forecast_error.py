"""Errors of forecasts, by hand and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error

from visto.errors import ModelError
from visto.metrics import ForecastError, figures
from visto.types import Future


def future(*rows: float, **others: list[list[float]]) -> Future:
    parts = {name: torch.tensor(value) for name, value in others.items()}
    return replace(Future(values=torch.tensor(rows)[:, None]), **parts)  # type: ignore[arg-type]


def test_by_hand() -> None:
    metric = ForecastError(["sales"], horizon=2)
    said = [
        future(1.0, 2.0, naive=[[0.0], [0.0]], linear=[[1.0], [4.0]], low=[[0.0], [0.0]], high=[[2.0], [2.5]]),
        future(3.0, 5.0, naive=[[5.0], [5.0]], linear=[[3.0], [3.0]], low=[[0.0], [0.0]], high=[[2.0], [9.0]]),
    ]
    truth = [future(2.0, 2.0), future(3.0, 3.0)]
    metric.update(torch.arange(2), said, truth)
    found = metric.compute()
    assert found["mse"] == (1 + 0 + 0 + 4) / 4
    assert found["mae"] == (1 + 0 + 0 + 2) / 4
    assert found["rmse"] == pytest.approx(1.25**0.5)
    assert (found["mse_step_1"], found["mse_step_2"]) == (0.5, 2.0)
    assert found["gain_over_naive"] == 1 - 1.25 / 4.0  # naive: 4, 4, 4, 4
    assert found["gain_over_linear"] == 1 - 1.25 / 1.25  # linear: 1, 4, 0, 0
    assert found["coverage"] == 0.75


def test_against_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth, said = random.normal(size=(40, 3, 1)), random.normal(size=(40, 3, 1))
    metric = ForecastError(["a"], horizon=3)
    metric.update(
        torch.arange(40),
        [Future(values=torch.tensor(row)) for row in said],
        [Future(values=torch.tensor(row)) for row in truth],
    )
    found = metric.compute()
    assert found["mse"] == pytest.approx(mean_squared_error(truth.ravel(), said.ravel()))
    assert found["mae"] == pytest.approx(mean_absolute_error(truth.ravel(), said.ravel()))
    assert found["mse_step_3"] == pytest.approx(mean_squared_error(truth[:, 2, 0], said[:, 2, 0]))
    assert "gain_over_naive" not in found
    assert "coverage" not in found


def test_columns_of_unlike_size_count_alike() -> None:
    metric = ForecastError(["small", "large"], horizon=1, spread=[1.0, 1000.0])
    said = [Future(values=torch.tensor([[1.0, 3000.0]]))]
    metric.update(torch.arange(1), said, [Future(values=torch.tensor([[0.0, 1000.0]]))])
    found = metric.compute()
    assert found["mse"] == (1 + 4) / 2
    assert (found["mse/small"], found["mse/large"]) == (1.0, 4e6)
    assert (found["mae/small"], found["mae/large"]) == (1.0, 2000.0)


def test_a_gain_has_a_paired_interval() -> None:
    """Each forecast halves the naive error, however large that is: the gain is known exactly, the errors are not."""
    random = torch.Generator().manual_seed(0)
    sizes = torch.randn(200, generator=random)
    said = [Future(values=e.view(1, 1) / 2, naive=e.view(1, 1), linear=e.view(1, 1)) for e in sizes]
    metric = ForecastError(["a"], horizon=1)
    metric.update(torch.arange(200), said, [Future(values=torch.zeros(1, 1))] * 200)
    found = figures([metric], n=200, groups=[f"{k // 10}" for k in range(200)])
    assert found["gain_over_naive"].value == pytest.approx(0.75)
    assert found["gain_over_naive"].low is None
    assert found["mse"].low is not None


def test_a_forecast_that_is_no_number_is_refused() -> None:
    with pytest.raises(ModelError, match="not numbers"):
        ForecastError(["a"], horizon=1).update(torch.arange(1), [future(float("nan"))], [future(1.0)])
    with pytest.raises(ValueError, match="a future of"):
        ForecastError(["a"], horizon=1).update(torch.arange(1), [future(1.0, 2.0)], [future(1.0)])
