"""How far two answers to one image say the same."""

import torch
from torch import Tensor

from visto.ops.boxes import box_iou
from visto.types import Alike, Boxes


def largest_difference(ours: Tensor | None, theirs: Tensor | None) -> float:
    """Of scores of the same classes; 0 where neither has any, 1 where one lacks them."""
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else 1.0
    return float((ours - theirs).abs().max()) if len(ours) else 0.0


def alike_boxes(ours: Boxes, theirs: Boxes, *, least: float, overlap: float, within: float) -> Alike:
    """Of the boxes that score ``least`` or more in either, those that the other has too, in whatever order.

    The other's may score less: one just above the threshold has not become another by falling below it. ``score`` is
    the largest difference among boxes of one class that overlap so.

    >>> box = Boxes(xyxy=torch.tensor([[0.0, 0.0, 9.0, 9.0]]), labels=torch.tensor([1]), scores=torch.tensor([0.52]))
    >>> less = Boxes(xyxy=box.xyxy, labels=box.labels, scores=torch.tensor([0.25]))
    >>> alike_boxes(box, less, least=0.5, overlap=0.9, within=0.01)
    Alike(same=0, of=1, score=0.27)
    """
    if ours.scores is None or theirs.scores is None:
        return Alike(same=int(ours == theirs), of=1, score=0.0)
    there = (box_iou(ours.xyxy, theirs.xyxy) >= overlap) & (ours.labels[:, None] == theirs.labels)
    apart = torch.where(there, (ours.scores[:, None] - theirs.scores).abs(), torch.inf)
    same = of = 0
    score = 0.0
    for nearest, stands in ((_least(apart, 1), ours.scores >= least), (_least(apart, 0), theirs.scores >= least)):
        asked = nearest[stands]
        same, of = same + int((asked <= within).sum()), of + len(asked)
        met = asked[torch.isfinite(asked)]
        score = max(score, round(float(met.max()), 6)) if len(met) else score
    return Alike(same=same, of=of, score=score)


def _least(apart: Tensor, dim: int) -> Tensor:
    """The least of each row (1) or column (0); infinity where there are none."""
    return apart.amin(dim) if apart.shape[dim] else apart.new_full((apart.shape[1 - dim],), torch.inf)
