"""Which places of a detector answer for which box: SimOTA (Ge et al. 2021, YOLOX, section 2.1).

Only places near the middle of a box may answer for it, so only those are looked at: at most 25 a stride. Boxes of all
images are treated together, without a table of every place against every box.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.ops.boxes import box_areas, shared_areas

_WINDOW = 5  # places in a row that may answer for a box: those within 2.5 strides of its middle
_BEST = 10  # overlaps that are added up to say how many places a box gets
_OVERLAP = 3.0  # weight of the overlap beside the class in the cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """T boxes of a batch: the image that each is in, its class, and corners T×4 in pixels of the model's input."""

    image: Tensor
    label: Tensor
    xyxy: Tensor

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """P pairs: a place (image · A + its index in the image, each at most once), its target, and their overlap (IoU)."""

    place: Tensor
    target: Tensor
    overlap: Tensor


def paired_iou(first_n4: Tensor, second_n4: Tensor) -> Tensor:
    """Intersection over union of boxes …×4, row by row (broadcast).

    >>> paired_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
    tensor([0.3333])
    """
    shared = shared_areas(first_n4, second_n4)
    return shared / (box_areas(first_n4) + box_areas(second_n4) - shared).clamp_min(1e-9)


def _window(middles_t2: Tensor, centres_a2: Tensor, strides_a: Tensor) -> tuple[Tensor, Tensor]:
    """The 5×5 places of each stride around each middle (x, y): indices T×C, and which of them the image has.

    No other place's centre is within 2.5 strides, in x and in y.
    """
    around = torch.arange(_WINDOW, device=middles_t2.device) - _WINDOW // 2
    indices, present = [], []
    start = 0
    strides, counts = torch.unique_consecutive(strides_a, return_counts=True)
    for stride, count in zip(strides.tolist(), counts.tolist(), strict=True):
        columns = round(float(centres_a2[start + count - 1, 0]) / stride + 0.5)
        rows = count // columns
        middle = (middles_t2 / stride).long()
        x = middle[:, 0].clamp(0, columns - 1)[:, None, None] + around
        y = middle[:, 1].clamp(0, rows - 1)[:, None, None] + around[:, None]
        here = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        indices.append((start + (y * columns + x) * here).flatten(1))
        present.append(here.flatten(1))
        start += count
    return torch.cat(indices, 1), torch.cat(present, 1)


@torch.no_grad()
def assign(tensors: Mapping[str, Tensor], targets: Targets, centres_a2: Tensor, strides_a: Tensor) -> Assignment:
    """Each box gets the places that would serve it best, as many as the ten best overlaps add up to, at least one.

    ``tensors`` are float32 ``boxes`` N×A×4, ``logits`` N×A×K and ``objectness`` N×A. A place may serve a box where its
    centre lies in the box, within 2.5 strides of the middle; a box too small to hold any centre gets the one place near
    it that costs least. The cost is the cross-entropy of the classes, plus three times the log of the overlap. A place
    that two boxes want goes to the one that it costs less.
    """
    boxes, logits, objectness = tensors["boxes"], tensors["logits"], tensors["objectness"]
    total = boxes.shape[1]
    index, present = _window((targets.xyxy[:, :2] + targets.xyxy[:, 2:]) / 2, centres_a2, strides_a)
    centre = centres_a2[index]
    inside = (centre > targets.xyxy[:, None, :2]) & (centre < targets.xyxy[:, None, 2:])
    suited = present & inside.all(-1)
    held = suited.any(1, keepdim=True)

    flat = targets.image[:, None] * total + index
    overlap = paired_iou(boxes.flatten(0, 1)[flat], targets.xyxy[:, None])
    # how sure a place is that there is something, and what: log √(p(object) · p(class))
    surely = F.logsigmoid(logits.flatten(0, 1)[flat])
    surely = (surely + F.logsigmoid(objectness.flatten()[flat])[..., None]) / 2
    others = torch.log1p(-surely.exp().clamp(max=1 - 1e-6))
    label = targets.label[:, None, None].expand(-1, index.shape[1], 1)
    wanted = surely.gather(2, label) - others.gather(2, label)
    cost = -(others.sum(-1) + wanted[..., 0]) - _OVERLAP * (overlap + 1e-8).log()
    cost = cost.masked_fill(~torch.where(held, suited, present), torch.inf)

    k = (overlap * suited).topk(min(_BEST, index.shape[1]), 1).values.sum(1).long().clamp_min(1)
    least = cost.topk(min(_BEST, index.shape[1]), 1, largest=False)
    chosen = (torch.arange(least.values.shape[1], device=k.device) < k[:, None]) & least.values.isfinite()
    target, rank = chosen.nonzero(as_tuple=True)
    place = flat.gather(1, least.indices)[target, rank]
    kept = _cheapest(place, least.values[target, rank], target, boxes.shape[0] * total)
    place, target = place[kept], target[kept]
    return Assignment(place=place, target=target, overlap=overlap.gather(1, least.indices)[chosen][kept])


def _cheapest(place_p: Tensor, cost_p: Tensor, target_p: Tensor, total: int) -> Tensor:
    """Of the pairs of each place, which costs least; of equals the first: P bool."""
    best = cost_p.new_full((total,), torch.inf).scatter_reduce(0, place_p, cost_p, "amin")
    kept = cost_p == best[place_p]
    last = int(target_p.max()) + 1 if len(target_p) else 1
    order = torch.where(kept, target_p, last)
    first = order.new_full((total,), last).scatter_reduce(0, place_p, order, "amin")
    return kept & (target_p == first[place_p])
