"""Precision, recall and F1: of each class, and their plain mean over the classes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visto.metrics.rows import Proportions, class_sums
from visto.metrics.scored import Scored, ScoredMetric


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """``part`` / ``whole``, and 0 where there is no whole; of any one shape."""
    return torch.where(whole > 0, part / whole.where(whole > 0, 1.0), 0.0)


def class_figures(classes: Sequence[str], hits: Tensor, predicted: Tensor, support: Tensor) -> dict[str, Tensor]:
    """Precision, recall and F1, of each class and on average, from weights of K classes in R weightings (each K×R)."""
    present = (predicted + support) > 0
    figures: dict[str, Tensor] = {}
    for name, values in (
        ("precision", ratio(hits, predicted)),
        ("recall", ratio(hits, support)),
        ("f1", ratio(2 * hits, predicted + support)),
    ):
        values = values.where(present, torch.nan)
        figures[name] = values.nanmean(dim=0)
        figures |= {f"{name}/{label}": row for label, row in zip(classes, values, strict=True)}
    return figures


def class_proportions(classes: Sequence[str], hits: Tensor, predicted: Tensor, support: Tensor) -> Proportions:
    """Precision and recall of a class; no trials where nothing was predicted, or there is nothing to find."""
    plain: dict[str, tuple[Tensor, Tensor]] = {}
    for k, label in enumerate(classes):
        plain[f"precision/{label}"] = (hits[k], predicted[k])
        plain[f"recall/{label}"] = (hits[k], support[k])
    return plain


class PrecisionRecall(ScoredMetric):
    """``precision``, ``recall``, ``f1`` (means over classes) and ``precision/<class>``, … of each class.

    As in scikit-learn, a ratio of nothing is 0, and the mean is over the classes that appear in the targets or the
    predictions. A class that appears in neither has no figures of its own; so too in a resample from which a
    class vanished, which is then set aside for that class and averaged over the classes it has for the mean.
    """

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        return {"predicted": scored.predicted, "target": scored.targets}

    def _counts(self, weights_nr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weight of the hits, the predictions and the targets of each class: each K×R."""
        predicted, target, classes = self.columns["predicted"], self.columns["target"], len(self.classes)
        hit = target.where(predicted == target, classes)
        return (
            class_sums(weights_nr, hit, classes),
            class_sums(weights_nr, predicted, classes),
            class_sums(weights_nr, target, classes),
        )

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        return class_figures(self.classes, *self._counts(weights_nr))

    def proportions(self, weights_nr: Tensor) -> Proportions:
        return class_proportions(self.classes, *self._counts(weights_nr))
