"""Expected calibration error: how far "90 % sure" is from being right nine times in ten."""

from collections.abc import Mapping

import torch
from torch import Tensor

from visto.metrics.rows import class_sums
from visto.metrics.scored import Scored, ScoredMetric

BINS = 15


def confidence_bins(confidence: Tensor) -> Tensor:
    """The bin of each confidence: 15 of equal width, each closed on the right.

    >>> confidence_bins(torch.tensor([0.0, 1 / 15, 0.07, 0.8, 1.0])).tolist()
    [0, 0, 1, 11, 14]
    """
    edges = torch.arange(1, BINS, dtype=torch.float64) / BINS
    return torch.bucketize(confidence, edges.to(confidence.dtype))  # rounded alike, so that 0.8 is on its edge


class CalibrationError(ScoredMetric):
    """``ece``: Σ over 15 bins of the share of images × |accuracy − mean confidence|.

    Guo et al. 2017, *On Calibration of Modern Neural Networks*. The confidence is the score of the answer. On few
    images it reads too high, because chance alone parts accuracy from confidence within a bin.
    """

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        confidence = scored.scores.gather(1, scored.predicted[:, None])[:, 0]
        return {"bin": confidence_bins(confidence), "gap": scored.correct.double() - confidence}

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        gaps = class_sums(weights_nr * self.columns["gap"][:, None], self.columns["bin"], BINS)
        return {"ece": gaps.abs().sum(dim=0) / weights_nr.sum(dim=0)}
