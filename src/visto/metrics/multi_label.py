"""Metrics where an image has any number of K classes, none too: each class is a yes or a no with its own score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.metrics.ece import BINS, confidence_bins
from visto.metrics.ladder import Ladder, ladders, ranking
from visto.metrics.precision_recall import class_figures, class_proportions, ratio
from visto.metrics.rows import Proportions, RowMetric, check_finite, member_sums, stacked_scores
from visto.types import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabels:
    """N answers and their truths: ``scores`` N×K (float32 or float64), ``predicted`` and ``targets`` boolean N×K."""

    scores: Tensor
    predicted: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        check_finite(self.scores)

    @property
    def right(self) -> Tensor:
        """Which of the N×K decisions are right (boolean)."""
        return self.predicted == self.targets


def _members(labels: Sequence[Labels], classes: int) -> Tensor:
    """Boolean N×K. Raises ValueError for a class that is not below K."""
    found = torch.zeros(len(labels), classes, dtype=torch.bool)
    pairs = [(row, k) for row, label in enumerate(labels) for k in label.classes]
    if any(k >= classes for _, k in pairs):
        raise ValueError(f"class {max(k for _, k in pairs)}, expected less than {classes}")
    if pairs:
        found[tuple(torch.tensor(pairs).T)] = True
    return found


class MultiLabelMetric(RowMetric[Labels, ScoredLabels]):
    """A metric of multi-label classification."""

    def stack(self, predictions: Sequence[Labels], targets: Sequence[Labels]) -> ScoredLabels:
        return ScoredLabels(
            scores=stacked_scores([p.scores for p in predictions], classes=len(self.classes)),
            predicted=_members(predictions, len(self.classes)),
            targets=_members(targets, len(self.classes)),
        )


class MultiLabelAccuracy(MultiLabelMetric):
    """``exact_match``: the share of images with every class right, and ``hamming_accuracy``: of all decisions.

    The first is also called subset accuracy, the second is 1 − Hamming loss (Tsoumakas and Katakis 2007).
    """

    def keep(self, scored: ScoredLabels) -> Mapping[str, Tensor]:
        return {"exact": scored.right.all(dim=1), "share": scored.right.double().mean(dim=1)}

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        total = weights_nr.sum(dim=0)
        return {
            "exact_match": self.columns["exact"].double() @ weights_nr / total,
            "hamming_accuracy": self.columns["share"] @ weights_nr / total,
        }

    def proportions(self, weights_nr: Tensor) -> Proportions:
        return {"exact_match": (self.columns["exact"].double() @ weights_nr, weights_nr.sum(dim=0))}


class MultiLabelPrecisionRecall(MultiLabelMetric):
    """``precision``, ``recall``, ``f1`` (means over classes), those of each class, and ``micro_f1`` of all decisions.

    As for one class out of K, a ratio of nothing is 0, and a class that is neither in the targets nor in the
    answers has no figures and no part in the means.
    """

    def keep(self, scored: ScoredLabels) -> Mapping[str, Tensor]:
        return {"predicted": scored.predicted, "target": scored.targets}

    def _counts(self, weights_nr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weight of the hits, the predictions and the targets of each class: each K×R."""
        predicted, target = self.columns["predicted"], self.columns["target"]
        return (
            member_sums(weights_nr, predicted & target),
            member_sums(weights_nr, predicted),
            member_sums(weights_nr, target),
        )

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        hits, predicted, support = self._counts(weights_nr)
        both = (predicted + support).sum(dim=0)
        micro = ratio(2 * hits.sum(dim=0), both).where(both > 0, torch.nan)
        return {**class_figures(self.classes, hits, predicted, support), "micro_f1": micro}

    def proportions(self, weights_nr: Tensor) -> Proportions:
        return class_proportions(self.classes, *self._counts(weights_nr))


class MultiLabelRanking(MultiLabelMetric):
    """``mean_average_precision`` over the classes that have images, ``auroc`` over those that also lack some.

    A class that vanished from a resample has no part in its means. The scores N×K are kept.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._sorted: tuple[Mapping[str, Tensor], list[Ladder]] | None = None

    def keep(self, scored: ScoredLabels) -> Mapping[str, Tensor]:
        return {"scores": scored.scores, "target": scored.targets}

    def _ladders(self) -> list[Ladder]:
        """Sorted once for all chunks of resamples."""
        columns = self.columns
        if self._sorted is None or self._sorted[0] is not columns:
            self._sorted = (columns, ladders(columns["scores"].T, columns["target"].T))
        return self._sorted[1]

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        areas, precisions = zip(*(ranking(steps, weights_nr) for steps in self._ladders()), strict=True)
        return {
            "mean_average_precision": torch.cat(precisions).nanmean(dim=0),
            "auroc": torch.cat(areas).nanmean(dim=0),
        }


class MultiLabelCalibration(MultiLabelMetric):
    """``log_loss``: the mean binary cross-entropy of all N·K decisions, in nats, and ``ece`` of their scores.

    Scores are clipped as in ``LogLoss``. ECE is Σ over 15 bins of score of the share of decisions × |share of yes −
    mean score| (Naeini et al. 2015, *Obtaining Well Calibrated Probabilities Using Bayesian Binning*).
    """

    def keep(self, scored: ScoredLabels) -> Mapping[str, Tensor]:
        epsilon = torch.finfo(scored.scores.dtype).eps
        own = torch.where(scored.targets, scored.scores, 1 - scored.scores)
        gaps = torch.zeros(len(own), BINS, dtype=torch.float64)
        gaps.scatter_add_(1, confidence_bins(scored.scores), scored.targets.double() - scored.scores.double())
        return {
            "loss": -own.clamp(epsilon, 1 - epsilon).double().log().mean(dim=1),
            "gaps": gaps / len(self.classes),
        }

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        total = weights_nr.sum(dim=0)
        return {
            "log_loss": self.columns["loss"] @ weights_nr / total,
            "ece": (self.columns["gaps"].T @ weights_nr).abs().sum(dim=0) / total,
        }
