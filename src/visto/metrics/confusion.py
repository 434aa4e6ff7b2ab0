"""The confusion matrix: which class is taken for which."""

from collections.abc import Sequence

import torch
from torch import Tensor

from visto.metrics.wilson import wilson
from visto.types import Label


def confusion_matrix(
    predictions: Sequence[Label], targets: Sequence[Label], *, classes: int, weights: Tensor | None = None
) -> Tensor:
    """Counts (or sums of ``weights``, N) as float64 K×K: the row is the true class, the column the predicted one.

    >>> confusion_matrix([Label(index=1), Label(index=1)], [Label(index=0), Label(index=1)], classes=2).tolist()
    [[0.0, 1.0], [0.0, 1.0]]

    Raises ValueError where the lengths differ or a class is not below ``classes``.
    """
    if len(predictions) != len(targets):
        raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")
    pairs = [(t.index, p.index) for p, t in zip(predictions, targets, strict=True)]
    if any(max(pair) >= classes for pair in pairs):
        raise ValueError(f"a class is not below {classes}")
    weights = torch.ones(len(pairs)) if weights is None else weights
    cells = torch.tensor([t * classes + p for t, p in pairs], dtype=torch.int64)
    return torch.bincount(cells, weights=weights.double(), minlength=classes * classes).reshape(classes, classes)


def row_rates(counts_kk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each cell's share of its row (on the diagonal: recall) and its 95 % Wilson bounds, each K×K.

    NaN in the row of a class without images.
    """
    rows = counts_kk.double().sum(dim=1, keepdim=True).expand_as(counts_kk)
    low, high = wilson(counts_kk.double(), rows)
    return counts_kk / rows, low, high
