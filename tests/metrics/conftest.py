"""Labels made from arrays, and all metrics at once."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from visto.metrics import Accuracy, CalibrationError, Kappa, LogLoss, PrecisionRecall, Ranking
from visto.metrics.scored import ScoredMetric
from visto.types import Label

Fill = Callable[..., list[ScoredMetric]]


def _fill(scores: Tensor, targets: Sequence[int], *, batch: int = 1000) -> list[ScoredMetric]:
    classes = [f"c{k}" for k in range(scores.shape[1])]
    metrics: list[ScoredMetric] = [
        Accuracy(classes),
        PrecisionRecall(classes),
        LogLoss(classes),
        CalibrationError(classes),
        Kappa(classes),
        Ranking(classes),
    ]
    predictions = [Label(index=int(row.argmax()), scores=row) for row in scores]
    truths = [Label(index=int(t)) for t in targets]
    for start in range(0, len(truths), batch):
        rows = torch.arange(start, min(start + batch, len(truths)))
        for metric in metrics:
            metric.update(rows, predictions[start : start + batch], truths[start : start + batch])
    return metrics


@pytest.fixture(scope="session")
def fill() -> Fill:
    """Metrics that have seen scores N×K and targets N."""
    return _fill
