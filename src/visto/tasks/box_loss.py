"""What a one-stage detector is taught: where boxes are, what is in them, and which places hold nothing (YOLOX)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.ops.boxes import box_areas, shared_areas
from visto.tasks.box_assignment import Assignment, Targets, assign
from visto.types import Loss

_BOX = 5.0  # weight of the boxes beside objectness and classes, as in YOLOX


def paired_giou(first_n4: Tensor, second_n4: Tensor) -> Tensor:
    """Generalised intersection over union (Rezatofighi et al. 2019) of boxes …×4, row by row, in -1 to 1.

    Below 0 the boxes are apart: unlike the plain overlap it still tells which way to go.

    >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    >>> paired_giou(boxes, torch.tensor([[0.0, 0.0, 2.0, 2.0], [3.0, 0.0, 4.0, 1.0]]))
    tensor([ 1.0000, -0.5000])
    """
    shared = shared_areas(first_n4, second_n4)
    union = (box_areas(first_n4) + box_areas(second_n4) - shared).clamp_min(1e-9)
    outer_low = torch.minimum(first_n4[..., :2], second_n4[..., :2])
    outer_high = torch.maximum(first_n4[..., 2:], second_n4[..., 2:])
    outer = (outer_high - outer_low).prod(-1).clamp_min(1e-9)
    return shared / union - (outer - union) / outer


def detection_loss(
    tensors: Mapping[str, Tensor],
    targets_nm6: Tensor,
    centres_a2: Tensor,
    strides_a: Tensor,
    weights_n: Tensor | None = None,
) -> Loss:
    """The loss of N images, in float32 whatever the precision of the net.

    ``tensors`` are a net's ``boxes`` N×A×4 in pixels of its input, ``logits`` N×A×K and ``objectness`` N×A; the A
    places have ``centres`` and ``strides`` (``visto.models.yolo.places``). A row of ``targets`` is label (-1: no box,
    padding), x0, y0, x1, y1, and 1 where the box is ignored: then the places within it need not hold nothing.
    ``weights`` (None: all 1) is how much each image counts.

    Sums over places are divided by the number of places that boxes were given, in the whole batch. ``total`` is the
    weighted mean of ``each`` (N, with gradients). ``parts`` are ``box`` (five times 1 - GIoU), ``class`` and
    ``objectness``. One core takes 7 to 16 ms for 16 images of 416×320 with 20 to 60 boxes of 3 classes: 1 to 2 % of a
    step of the smallest net.
    """
    with torch.autocast(tensors["boxes"].device.type, enabled=False):
        floats = {name: tensors[name].float() for name in ("boxes", "logits", "objectness")}
        targets_nm6 = targets_nm6.float()
        real, ignored = targets_nm6[..., 0] >= 0, targets_nm6[..., 5] > 0
        image, row = (real & ~ignored).nonzero(as_tuple=True)
        taken = targets_nm6[image, row]
        targets = Targets(image=image, label=taken[:, 0].long(), xyxy=taken[:, 1:5])
        assignment = assign(floats, targets, centres_a2, strides_a)
        spared = _inside(targets_nm6, real & ignored, centres_a2)
        sums = _sums(floats, targets, assignment, spared)
    n = len(targets_nm6)
    scale = n / max(1, len(assignment.place))
    weights = torch.ones_like(sums["objectness"]) if weights_n is None else weights_n
    each = torch.stack(list(sums.values())).sum(0) * scale
    parts = {name: (part.detach() * scale * weights).mean() for name, part in sums.items()}
    return Loss(total=(each * weights).mean(), parts=parts, each=each)


def _inside(targets_nm6: Tensor, which_nm: Tensor, centres_a2: Tensor) -> Tensor:
    """Places N×A whose centre lies in one of those boxes."""
    image, row = which_nm.nonzero(as_tuple=True)
    boxes = targets_nm6[image, row, None, 1:5]
    within = ((centres_a2 > boxes[..., :2]) & (centres_a2 < boxes[..., 2:])).all(-1)
    counts = torch.zeros(len(targets_nm6), len(centres_a2), device=targets_nm6.device)
    return counts.index_add(0, image, within.float()) > 0


def _sums(tensors: Mapping[str, Tensor], targets: Targets, found: Assignment, spared_na: Tensor) -> dict[str, Tensor]:
    """Each term, summed over the places of each image: N."""
    objectness, logits = tensors["objectness"], tensors["logits"].flatten(0, 1)[found.place]
    image, zeros = targets.image[found.target], objectness.new_zeros(len(objectness))
    present = torch.zeros_like(objectness).flatten().index_fill(0, found.place, 1).view_as(objectness)
    there = F.binary_cross_entropy_with_logits(objectness, present, reduction="none")
    there = there.masked_fill(spared_na & (present == 0), 0).sum(1)
    # the score that is asked for is the overlap, so that scores rank boxes by how well they fit
    label = F.one_hot(targets.label[found.target], logits.shape[1]) * found.overlap[:, None]
    what = F.binary_cross_entropy_with_logits(logits, label, reduction="none").sum(1)
    where = 1 - paired_giou(tensors["boxes"].flatten(0, 1)[found.place], targets.xyxy[found.target])
    return {
        "box": zeros.index_add(0, image, where * _BOX),
        "class": zeros.index_add(0, image, what),
        "objectness": there,
    }
