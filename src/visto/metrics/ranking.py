"""How well the scores put the images of a class before the others: AUROC and average precision."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visto.metrics.ladder import Ladder, ladders, ranking
from visto.metrics.scored import Scored, ScoredMetric


class Ranking(ScoredMetric):
    """``auroc`` and ``average_precision``: of class 1 for two classes, else the mean of one-vs-rest over all classes.

    Left out where a class has no image: the mean would be of something else. A resample from which a class
    vanished is set aside for the same reason. Costs N·K additions a weighting; the scores N×K are kept.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._sorted: tuple[Mapping[str, Tensor], list[Ladder]] | None = None

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        return {"scores": scored.scores, "target": scored.targets}

    def _ladders(self) -> list[Ladder]:
        """Sorted once for all chunks of resamples."""
        columns = self.columns
        if self._sorted is None or self._sorted[0] is not columns:
            judged = torch.arange(len(self.classes))[1 if len(self.classes) == 2 else 0 :]
            self._sorted = (columns, ladders(columns["scores"].T[judged], columns["target"] == judged[:, None]))
        return self._sorted[1]

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        areas, precisions = zip(*(ranking(steps, weights_nr) for steps in self._ladders()), strict=True)
        auroc, precision = torch.cat(areas).mean(dim=0), torch.cat(precisions).mean(dim=0)
        # with one class only, ranking is no question: both are left out
        return {"auroc": auroc, "average_precision": precision.where(auroc.isfinite(), torch.nan)}
