"""Which boxes a two-stage detector is taught by: matched with what is there, and a few of them drawn (Ren et al. 2015).

Rows of N images stand together; ``real`` says which of M rows of boxes are there, the others being padding.
"""

import torch
from torch import Tensor

from visto.ops.boxes import box_areas, box_iou, intersections

_SPARED = 0.5  # of a box within one that is ignored: then it need not hold nothing


def best_match(boxes_na4: Tensor, true_nm4: Tensor, real_nm: Tensor) -> tuple[Tensor, Tensor]:
    """For each of A boxes its overlap (IoU) with the one of M that it fits best, and which that is: N×A and N×A.

    0 where there is none. ``boxes`` may be A×4, the same for all images.
    """
    if not true_nm4.shape[1]:
        nothing = true_nm4.new_zeros(len(true_nm4), boxes_na4.shape[-2])
        return nothing, nothing.long()
    overlap = box_iou(boxes_na4, true_nm4) * real_nm[:, None]
    best = overlap.max(2)
    return best.values, best.indices


def matched_anchors(
    anchors_a4: Tensor, true_nm4: Tensor, real_nm: Tensor, *, high: float = 0.7, low: float = 0.3
) -> tuple[Tensor, Tensor]:
    """What each anchor is to say: 1 there is an object, 0 there is none, -1 anything; and which object: N×A and N×A.

    An object's are the anchors that overlap it by ``high`` or more, and those that fit it best, however badly, so that
    every object has one (of equals all; none where nothing overlaps). Below ``low`` there is no object.
    """
    if not true_nm4.shape[1]:
        nothing = torch.zeros(len(true_nm4), len(anchors_a4), dtype=torch.int64, device=anchors_a4.device)
        return nothing, nothing
    table = box_iou(anchors_a4, true_nm4) * real_nm[:, None]  # N×A×M
    overlap, which = table.max(2)
    label = torch.where(overlap >= high, 1, torch.where(overlap < low, 0, -1))
    most = table.amax(1, keepdim=True)
    fitting = (table == most) & (most > 0)
    forced = fitting.any(2)
    # an anchor that fits one object best may overlap another more: the one that would else have none gets it
    which = torch.where(forced & (overlap < high), fitting.int().argmax(2), which)
    return torch.where(forced, 1, label), which


def within_ignored(boxes_na4: Tensor, ignored_nm4: Tensor, real_nm: Tensor) -> Tensor:
    """Which boxes lie by more than half in a region that is not to be judged: N×A bool."""
    if not ignored_nm4.shape[1]:
        return torch.zeros(len(ignored_nm4), boxes_na4.shape[-2], dtype=torch.bool, device=boxes_na4.device)
    shared = (intersections(boxes_na4, ignored_nm4) * real_nm[:, None]).amax(2)
    return shared > _SPARED * box_areas(boxes_na4).clamp_min(1e-6)


def drawn(positive_na: Tensor, negative_na: Tensor, *, most: int, share: float) -> tuple[Tensor, Tensor]:
    """At random ``most`` of A rows, at most ``share`` of them positive: their indices N×most, and which are there.

    Positive ones first. Draws from torch's global generator.
    """
    chance = torch.rand(positive_na.shape, device=positive_na.device)
    total = positive_na.shape[1]
    good = chance.masked_fill(~positive_na, -1).topk(min(int(share * most), total), 1)
    count = (good.values >= 0).sum(1, keepdim=True)
    bad = chance.masked_fill(~negative_na, -1).topk(min(most, total), 1)
    wanted = torch.arange(bad.values.shape[1], device=count.device) < most - count
    indices = torch.cat([good.indices, bad.indices], 1)
    there = torch.cat([good.values >= 0, (bad.values >= 0) & wanted], 1)
    first = torch.sort(there.int(), dim=1, descending=True, stable=True).indices[:, :most]
    return indices.gather(1, first), there.gather(1, first)
