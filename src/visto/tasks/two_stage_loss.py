"""What a two-stage detector is taught: where there may be objects, and what the proposals hold (Ren et al. 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.models.faster_rcnn import UNITS, FasterRCNN
from visto.ops.box_offsets import box_offsets
from visto.tasks.proposal_matching import best_match, drawn, matched_anchors, within_ignored
from visto.types import Loss

_ANCHORS, _HALF = 256, 0.5  # anchors of an image that are taught, and how many of them may hold an object
_LOOKS, _QUARTER = 128, 0.25  # likewise the proposals
_HOLDS = 0.5  # overlap from which on a proposal holds an object
_BEND = 1 / 9  # of the smooth L1 loss of proposals: below, it is quadratic


def two_stage_loss(
    model: FasterRCNN, images_nchw: Tensor, targets_nm6: Tensor, weights_n: Tensor | None = None
) -> Loss:
    """The loss of N images, in float32 whatever the precision of the net.

    A row of ``targets`` is label (-1: no box, padding), x0, y0, x1, y1, and 1 where the box is ignored: what lies in it
    need not hold nothing. ``weights`` (None: all 1) is how much each image counts.

    ``parts`` are ``proposal`` and ``proposal_box`` of the first look, ``class`` and ``box`` of the second; they weigh
    the same. ``total`` is the weighted mean of ``each`` (N, with gradients). Which anchors and proposals are taught is
    drawn from torch's global generator.
    """
    maps = model.maps(images_nchw)
    objectness, offsets = model.proposer(maps)
    start = model.anchors_for(images_nchw)
    with torch.autocast(images_nchw.device.type, enabled=False):
        parts = proposal_loss(objectness, offsets, start, targets_nm6)
        proposed, scores = model.best(objectness, offsets, images_nchw)
        boxes, label, wanted = taught(proposed, scores > 0, targets_nm6)
    logits, moves = model.recognise(maps, boxes)
    with torch.autocast(images_nchw.device.type, enabled=False):
        parts |= recognition_loss(logits, moves, label, box_offsets(wanted, boxes))
    each = torch.stack(list(parts.values())).sum(0)
    weights = torch.ones_like(each) if weights_n is None else weights_n
    means = {name: (part.detach() * weights).mean() for name, part in parts.items()}
    return Loss(total=(each * weights).mean(), parts=means, each=each)


def proposal_loss(
    objectness_na: Tensor, offsets_na4: Tensor, anchors_a4: Tensor, targets_nm6: Tensor
) -> dict[str, Tensor]:
    """Of 256 anchors an image, half of them on objects where there are so many: the terms of each image, N."""
    real, ignored = targets_nm6[..., 0] >= 0, targets_nm6[..., 5] > 0
    true = targets_nm6[..., 1:5]
    label, which = matched_anchors(anchors_a4, true, real & ~ignored)
    free = ~within_ignored(anchors_a4, true, real & ignored)
    indices, there = drawn(label == 1, (label == 0) & free, most=_ANCHORS, share=_HALF)
    said, wanted = objectness_na.gather(1, indices), (label == 1).float().gather(1, indices)
    sure = F.binary_cross_entropy_with_logits(said, wanted, reduction="none") * there
    some = indices[..., None].expand(-1, -1, 4)
    goal = box_offsets(_rows(true, which.gather(1, indices)), anchors_a4[indices])
    near = F.smooth_l1_loss(offsets_na4.gather(1, some), goal, reduction="none", beta=_BEND).sum(-1)
    count = there.sum(1).clamp_min(1)
    return {"proposal": sure.sum(1) / count, "proposal_box": (near * (there & (wanted > 0))).sum(1) / count}


@torch.no_grad()
def taught(proposed_nr4: Tensor, there_nr: Tensor, targets_nm6: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The 128 boxes of each image that the second look is taught by: boxes, labels, and the true boxes they stand for.

    Drawn from the proposals and the true boxes, a quarter of them on objects where there are so many. Labels N×128 are
    -1 for none to be taught, 0 for nothing, else 1 + the class.
    """
    real, ignored = targets_nm6[..., 0] >= 0, targets_nm6[..., 5] > 0
    true = targets_nm6[..., 1:5]
    boxes = torch.cat([proposed_nr4, true], 1)
    there = torch.cat([there_nr, real & ~ignored], 1)
    overlap, which = best_match(boxes, true, real & ~ignored)
    holds = there & (overlap >= _HOLDS)
    free = ~within_ignored(boxes, true, real & ignored)
    indices, drawn_there = drawn(holds, there & ~holds & free, most=_LOOKS, share=_QUARTER)
    which = which.gather(1, indices)
    label = targets_nm6[..., 0].long().gather(1, which) + 1 if true.shape[1] else torch.zeros_like(which)
    label = torch.where(holds.gather(1, indices), label, 0).masked_fill(~drawn_there, -1)
    return _rows(boxes, indices), label, _rows(true, which)


def recognition_loss(logits_nrk: Tensor, offsets_nrk4: Tensor, label_nr: Tensor, goal_nr4: Tensor) -> dict[str, Tensor]:
    """Cross-entropy over nothing and K classes, and where there is an object its class's offsets: of each image, N.

    Both are means over the boxes that are taught, as in Fast R-CNN (Girshick 2015).
    """
    there, holds = label_nr >= 0, label_nr > 0
    count = there.sum(1).clamp_min(1)
    what = F.cross_entropy(logits_nrk.flatten(0, 1), label_nr.clamp_min(0).flatten(), reduction="none")
    own = (label_nr - 1).clamp_min(0)[..., None, None].expand(-1, -1, 1, 4)
    goal = goal_nr4 / goal_nr4.new_tensor(UNITS)
    near = F.smooth_l1_loss(offsets_nrk4.gather(2, own)[:, :, 0], goal, reduction="none").sum(-1)
    return {"class": (what.view_as(label_nr) * there).sum(1) / count, "box": (near * holds).sum(1) / count}


def _rows(boxes_nm4: Tensor, which_ns: Tensor) -> Tensor:
    """Of each image the boxes of those indices: N×S×4; zeros where there is none to choose from."""
    if not boxes_nm4.shape[1]:
        return boxes_nm4.new_zeros(*which_ns.shape, 4)
    return boxes_nm4.gather(1, which_ns[..., None].expand(-1, -1, 4))
