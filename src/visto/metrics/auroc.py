"""Area under the ROC curve: the chance that an image of the class scores higher than one that is not of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visto.metrics.scored import Scored, ScoredMetric, bag_sums, class_sums

# images × classes sorted into one ladder: 32 MB of indices
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The images of C classes sorted by each class's score once, so that any weighting needs sums only.

    A rung is a distinct score among a class's positives; M rungs for all C classes, class after class, ``rung_class``
    M. ``negatives`` cuts the negatives into 2M bags, two a rung: those between it and the rung below, and those equal
    to it; ``positives`` into M bags, those equal to it. A bag is a range of ``…_order`` from its start. Negatives
    above a class's highest rung win against nobody and are left out. ``members`` is boolean C×N.
    """

    rung_class: Tensor
    positives_order: Tensor
    positives_starts: Tensor
    negatives_order: Tensor
    negatives_starts: Tensor
    members: Tensor


def _class_rungs(scores_n: Tensor, positive_n: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Order and starts of the positives (M bags) and of the negatives (2M bags) of one class."""
    order = scores_n.argsort(stable=True)
    scores, positive = scores_n[order], positive_n[order]
    rungs, negatives = torch.unique(scores[positive]), scores[~positive]
    below = torch.searchsorted(negatives, rungs)
    upto = torch.searchsorted(negatives, rungs, right=True)
    starts = torch.stack([torch.cat([upto.new_zeros(1), upto])[:-1], below], dim=1).flatten()
    end = int(upto[-1]) if len(upto) else 0
    return order[positive], torch.searchsorted(scores[positive], rungs), order[~positive][:end], starts


def ladder(scores_cn: Tensor, members_cn: Tensor) -> Ladder:
    """Sort for ``weighted_auroc``: scores C×N of C classes, and which images are of each (boolean C×N)."""
    each = [_class_rungs(scores, members) for scores, members in zip(scores_cn, members_cn, strict=True)]
    before = torch.tensor([[0, 0]] + [[len(p), len(n)] for p, _, n, _ in each]).cumsum(dim=0).tolist()
    return Ladder(
        rung_class=torch.repeat_interleave(torch.tensor([len(starts) for _, starts, _, _ in each])),
        positives_order=torch.cat([order for order, _, _, _ in each]),
        positives_starts=torch.cat([s + at[0] for (_, s, _, _), at in zip(each, before, strict=False)]),
        negatives_order=torch.cat([order for _, _, order, _ in each]),
        negatives_starts=torch.cat([s + at[1] for (_, _, _, s), at in zip(each, before, strict=False)]),
        members=members_cn,
    )


def weighted_auroc(steps: Ladder, weights_nr: Tensor) -> Tensor:
    """P(score of a positive > score of a negative) + ½ P(equal) (Hanley and McNeil 1982): C×R, for R weightings.

    NaN where a weighting has no positives, or no negatives.
    """
    classes = len(steps.members)
    total = weights_nr.sum(dim=0)
    positives = steps.members.double() @ weights_nr
    if len(steps.rung_class) == 0:
        return torch.full_like(positives, torch.nan)
    own = bag_sums(weights_nr, steps.positives_order, steps.positives_starts)
    bags = bag_sums(weights_nr, steps.negatives_order, steps.negatives_starts).numpy()
    climbed = np.cumsum(bags, axis=0)  # numpy adds whole rows; torch walks down each column, ten times slower
    # what the classes before climbed is no part of a class's own sum
    first = np.searchsorted(steps.rung_class.numpy(), np.arange(classes))
    base = np.where(first[:, None] > 0, climbed[2 * first - 1], 0.0)
    beaten = torch.from_numpy((climbed[0::2] + climbed[1::2]) / 2 - base[steps.rung_class.numpy()])
    won = class_sums(own * beaten, steps.rung_class, classes)
    return won / (positives * (total - positives))


class Auroc(ScoredMetric):
    """``auroc``: of class 1 for two classes, else the mean of one-vs-rest over all classes.

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
            blocks = torch.split(judged, max(1, _BLOCK // max(1, len(self.rows))))
            members = [columns["target"] == block[:, None] for block in blocks]
            scores = columns["scores"].T
            self._sorted = (columns, [ladder(scores[b], m) for b, m in zip(blocks, members, strict=True)])
        return self._sorted[1]

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        each = torch.cat([weighted_auroc(steps, weights_nr) for steps in self._ladders()])
        return {"auroc": each.mean(dim=0)}
