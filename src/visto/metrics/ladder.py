"""Images sorted once by each class's score, so that any weighting of a ranking's figures needs sums only."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visto.metrics.rows import bag_sums, class_sums

# images × classes sorted into one ladder: 32 MB of indices
_BLOCK = 4_000_000
# rungs × weightings calculated with at once: arrays of 10 MB, which are soon used again (with those of 40 MB 1,000
# weightings of 10,000 images of 10 classes took twice as long, most of it waiting for the system to give the memory)
_AT_ONCE = 1_250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The images of C classes sorted by each class's score.

    A rung is a distinct score among a class's positives; M rungs for all C classes, class after class, ``rung_class``
    M. ``negatives`` cuts the negatives into 2M bags, two a rung: those between it and the rung below, and those equal
    to it; ``positives`` into M bags, those equal to it. A bag is a range of ``…_order`` from its start. Negatives
    above a class's highest rung are left out: their weight is what is missing from the class's negatives.
    """

    classes: int
    rung_class: Tensor
    positives_order: Tensor
    positives_starts: Tensor
    negatives_order: Tensor
    negatives_starts: Tensor


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


def _ladder(scores_cn: Tensor, members_cn: Tensor) -> Ladder:
    each = [_class_rungs(scores, members) for scores, members in zip(scores_cn, members_cn, strict=True)]
    before = torch.tensor([[0, 0]] + [[len(p), len(n)] for p, _, n, _ in each]).cumsum(dim=0).tolist()
    return Ladder(
        classes=len(each),
        rung_class=torch.repeat_interleave(torch.tensor([len(starts) for _, starts, _, _ in each])),
        positives_order=torch.cat([order for order, _, _, _ in each]),
        positives_starts=torch.cat([s + at[0] for (_, s, _, _), at in zip(each, before, strict=False)]),
        negatives_order=torch.cat([order for _, _, order, _ in each]),
        negatives_starts=torch.cat([s + at[1] for (_, _, _, s), at in zip(each, before, strict=False)]),
    )


def ladders(scores_cn: Tensor, members_cn: Tensor) -> list[Ladder]:
    """Sort scores C×N of C classes, of which boolean C×N says which images are members.

    In blocks of classes that hold few enough images, and hardly more members than there are images, since there is
    a rung for each of them in every resample.
    """
    return [_ladder(scores_cn[a:b], members_cn[a:b]) for a, b in _blocks(members_cn)]


def _blocks(members_cn: Tensor) -> Iterator[tuple[int, int]]:
    classes, n = members_cn.shape
    first, held = 0, 0
    for k, members in enumerate(members_cn.sum(dim=1).tolist()):
        if k > first and ((k - first + 1) * n > _BLOCK or held + members > n):
            yield first, k
            first, held = k, 0
        held += members
    yield first, classes


def ranking(steps: Ladder, weights_nr: Tensor) -> tuple[Tensor, Tensor]:
    """AUROC and average precision of each class for R weightings (N×R): each C×R.

    AUROC is P(score of a positive > score of a negative) + ½ P(equal) (Hanley and McNeil 1982), NaN where a
    weighting has no positives or no negatives. Average precision is the mean, over the positives, of the precision
    among all images that score at least as high (scikit-learn's, without interpolation); NaN without positives.
    """
    if len(steps.rung_class) == 0:
        nothing = torch.full((steps.classes, weights_nr.shape[1]), torch.nan).double()
        return nothing, nothing
    width = max(1, _AT_ONCE // len(steps.rung_class))
    parts = [_areas(steps, weights.contiguous()) for weights in torch.split(weights_nr, width, dim=1)]
    areas, precisions = zip(*parts, strict=True)
    return torch.cat(areas, dim=1), torch.cat(precisions, dim=1)


def _areas(steps: Ladder, weights_nr: Tensor) -> tuple[Tensor, Tensor]:
    """``ranking`` of at least one rung."""
    rung_class = steps.rung_class.numpy()
    first = np.searchsorted(rung_class, np.arange(steps.classes))
    own = bag_sums(weights_nr, steps.positives_order, steps.positives_starts)
    bags = bag_sums(weights_nr, steps.negatives_order, steps.negatives_starts).numpy()
    climbed = np.cumsum(bags, axis=0)  # numpy adds whole rows; torch walks down each column, ten times slower
    # what the classes before climbed is no part of a class's own sum
    base = np.where(first[:, None] > 0, climbed[2 * first - 1], 0.0)[rung_class]
    below, upto = climbed[0::2] - base, climbed[1::2] - base
    positives = class_sums(own, steps.rung_class, steps.classes)
    total = weights_nr.sum(dim=0)
    negatives = (total - positives).where(total - positives > 1e-12 * total, 0.0)  # rounding is no negative
    won = class_sums(own * torch.from_numpy((below + upto) / 2), steps.rung_class, steps.classes)
    passed = np.cumsum(own.numpy(), axis=0)
    before = np.where(first[:, None] > 0, passed[first - 1], 0.0)[rung_class]
    hits = positives.numpy()[rung_class] - (passed - own.numpy() - before)
    alarms = np.maximum(negatives.numpy()[rung_class] - below, 0.0)
    shares = own.numpy() * np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=own.numpy() > 0)
    precision = class_sums(torch.from_numpy(shares), steps.rung_class, steps.classes)
    return won / (positives * negatives), precision / positives
