"""Precision, recall and F1: of each class, and their plain mean over the classes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from visto.metrics.scored import Scored, ScoredMetric, class_sums


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.where(whole > 0, 1.0), 0.0)


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
        hits, predicted, support = self._counts(weights_nr)
        present = (predicted + support) > 0
        figures: dict[str, Tensor] = {}
        for name, values in (
            ("precision", _ratio(hits, predicted)),
            ("recall", _ratio(hits, support)),
            ("f1", _ratio(2 * hits, predicted + support)),
        ):
            values = values.where(present, torch.nan)
            figures[name] = values.nanmean(dim=0)
            figures |= {f"{name}/{label}": row for label, row in zip(self.classes, values, strict=True)}
        return figures

    def proportions(self) -> Mapping[str, tuple[float, float]]:
        """Precision and recall of a class; no trials where nothing was predicted, or there is nothing to find."""
        if len(self.rows) == 0:
            return {}
        hits, predicted, support = (c[:, 0].tolist() for c in self._counts(torch.ones(len(self.rows), 1).double()))
        plain: dict[str, tuple[float, float]] = {}
        for k, label in enumerate(self.classes):
            plain[f"precision/{label}"] = (hits[k], predicted[k])
            plain[f"recall/{label}"] = (hits[k], support[k])
        return plain
