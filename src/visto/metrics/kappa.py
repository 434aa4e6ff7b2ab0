"""Cohen's kappa: how much better the answers agree with the truth than answers by chance would."""

from collections.abc import Mapping

import torch
from torch import Tensor

from visto.metrics.rows import class_sums
from visto.metrics.scored import Scored, ScoredMetric


class Kappa(ScoredMetric):
    """``kappa``: (observed − chance) / (1 − chance) of the agreement of answer and truth, −1 to 1.

    Cohen 1960, *A Coefficient of Agreement for Nominal Scales*. Chance answers each class as often as the model does.
    Left out where answer and truth are one and the same class throughout.
    """

    def keep(self, scored: Scored) -> Mapping[str, Tensor]:
        return {"predicted": scored.predicted, "target": scored.targets}

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        predicted, target, classes = self.columns["predicted"], self.columns["target"], len(self.classes)
        total = weights_nr.sum(dim=0)
        truths, answers = class_sums(weights_nr, target, classes), class_sums(weights_nr, predicted, classes)
        # of total², so that whole weights give whole numbers and 0 / 0 is seen
        missed = (predicted != target).double() @ weights_nr * total
        by_chance = total * total - (truths * answers).sum(dim=0)
        return {"kappa": torch.where(by_chance > 1e-12 * total * total, 1 - missed / by_chance, torch.nan)}
