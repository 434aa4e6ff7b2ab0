"""Answers and truths of one class out of K, stacked as tensors: what the metrics of classification start from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.metrics.rows import RowMetric, check_finite, stacked_scores
from visto.types import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """N answers and their truths: ``scores`` N×K (float32 or float64), ``predicted`` N and ``targets`` N (int64)."""

    scores: Tensor
    predicted: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        n, classes = self.scores.shape
        for name, indices in (("prediction", self.predicted), ("target", self.targets)):
            if tuple(indices.shape) != (n,):
                raise ValueError(f"{len(indices)} {name}s for {n} rows of scores")
            if n and int(indices.max()) >= classes:
                raise ValueError(f"{name} of class {int(indices.max())}, expected less than {classes}")
        check_finite(self.scores)

    @property
    def correct(self) -> Tensor:
        """N booleans."""
        return self.predicted == self.targets


class ScoredMetric(RowMetric[Label, Scored]):
    """A metric of classification."""

    def stack(self, predictions: Sequence[Label], targets: Sequence[Label]) -> Scored:
        return Scored(
            scores=stacked_scores([p.scores for p in predictions], classes=len(self.classes)),
            predicted=torch.tensor([p.index for p in predictions], dtype=torch.int64),
            targets=torch.tensor([t.index for t in targets], dtype=torch.int64),
        )
