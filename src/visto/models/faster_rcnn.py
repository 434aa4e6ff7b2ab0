"""Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) with a feature pyramid (Lin et al. 2017, arXiv 1612.03144).

It looks twice. A region proposal network says of every place of the pyramid, for three shapes of box (anchors), whether
there is an object, and where exactly. The best proposals are then looked at again, each by itself: RoIAlign cuts the
same grid out of the pyramid for each, and a small net names what is in it and moves its sides once more.
"""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.backbone import Backbone
from visto.models.efficientnet_lite import efficientnet_lite0
from visto.ops.box_offsets import moved_boxes
from visto.ops.boxes import clip_boxes
from visto.ops.nms import nms
from visto.ops.roi_align import roi_align

STRIDES = (8, 16, 32, 64)
_FIRST = 4  # stages of the backbone before those that a map comes from; they may be frozen
_TAPS = (
    (_FIRST, 6, 40),
    (6, 12, 112),
    (12, 17, 320),
)  # stages of the backbone that lead to strides 8, 16, 32; channels
_RATIOS = (0.5, 1.0, 2.0)  # height to width of the anchors at each place
_ANCHOR = 4  # strides that a square anchor is wide
_COARSER = 224  # pixels (the root of the area) from which on a box is looked at in the map of stride 16; from twice, 32
_BINS = 7
_OVERLAP = 0.7  # of two proposals: the lesser goes
_CANDIDATES = 600  # proposals that are compared
UNITS = (0.1, 0.1, 0.2, 0.2)  # in which the second look says its offsets: they are small, for proposals lie well
_NOTHING = -100.0  # the logit of a proposal that is not there
_SPREAD = 64  # boxes that are looked at again while training, where the loss says nothing else


def anchors(size: Sequence[int]) -> Tensor:
    """The boxes A×4 from which proposals start, for images of (height, width): stride by stride, row by row.

    >>> boxes = anchors([64, 64])
    >>> len(boxes), boxes[1].tolist(), boxes[-1].round().tolist()
    (255, [-12.0, -12.0, 20.0, 20.0], [-59.0, -149.0, 123.0, 213.0])
    """
    found = []
    for stride in STRIDES:
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        middle = torch.stack([x, y], -1).view(-1, 1, 2) * stride
        half = torch.tensor([[ratio**-0.5, ratio**0.5] for ratio in _RATIOS]) * (_ANCHOR * stride / 2)
        found.append(torch.cat([middle - half, middle + half], -1).flatten(0, 1))
    return torch.cat(found)


class Pyramid(nn.Module):
    """Maps of strides 8, 16 and 32, the finer told what the coarser see, and one of stride 64: ``width`` channels."""

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in inputs)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        seen = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        for finer in range(len(seen) - 2, -1, -1):
            seen[finer] = seen[finer] + F.interpolate(seen[finer + 1], scale_factor=2.0)
        maps = [smooth(x) for smooth, x in zip(self.smooth, seen, strict=True)]
        return [*maps, F.max_pool2d(maps[-1], 1, stride=2)]


class Proposer(nn.Module):
    """The region proposal network: of each anchor, a logit that it holds an object, and offsets to that object."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.objectness = nn.Conv2d(width, len(_RATIOS), 1)
        self.offsets = nn.Conv2d(width, 4 * len(_RATIOS), 1)
        for layer in (self.look, self.objectness, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        seen = [F.relu(self.look(x)) for x in maps]
        objectness = [self.objectness(x).permute(0, 2, 3, 1).flatten(1) for x in seen]
        offsets = [self.offsets(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4)) for x in seen]
        return torch.cat(objectness, 1).float(), torch.cat(offsets, 1).float()


class Recogniser(nn.Module):
    """The second look, at one grid a proposal: logits N×R×(1 + K), the first for nothing, and offsets N×R×K×4."""

    def __init__(self, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width * _BINS**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.nothing = nn.Linear(hidden, 1)
        self.logits = nn.Linear(hidden, classes)
        # dx, dy, dw, dh: each with a row for each class, as a model that is fine-tuned to other classes needs it
        moves = [nn.Linear(hidden, classes) for _ in range(4)]
        self.offsets = nn.ModuleList(moves)
        for layer, std in ((self.nothing, 0.01), (self.logits, 0.01), *((move, 0.001) for move in moves)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, grids: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.body(grids.flatten(2))
        logits = torch.cat([self.nothing(seen), self.logits(seen)], -1)
        return logits.float(), torch.stack([offset(seen) for offset in self.offsets], -1).float()


class FasterRCNN(nn.Module):
    """From images N×C×H×W to, for each of R proposals, its class and a box for each class.

    ``boxes`` N×R×K×4 are corners in pixels of the input; ``objectness`` N×R is the logit that there is anything,
    ``logits`` N×R×K those of what it is, if so. All float32. While training, the second look is at boxes spread over
    the image, for which to teach is the loss's choice (``visto.tasks.two_stage_loss``).
    """

    anchors: Tensor

    def __init__(
        self,
        *,
        backbone: nn.Sequential,
        classes: int,
        size: Sequence[int],
        width: int,
        hidden: int,
        proposals: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = 0
        self.pyramid = Pyramid([channels for _, _, channels in _TAPS], width)
        self.proposer = Proposer(width)
        self.recogniser = Recogniser(width, hidden, classes)
        self.proposals = proposals
        self.size = (size[0], size[1])
        self.register_buffer("anchors", anchors(size), persistent=False)

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        maps = self.maps(images_nchw)
        objectness, offsets = self.proposer(maps)
        start = self.anchors_for(images_nchw)
        if self.training:
            proposed = moved_boxes(offsets, start)[:, :: max(1, len(start) // _SPREAD)]
            there = objectness[:, :: max(1, len(start) // _SPREAD)]
        else:
            proposed, scores = self.best(objectness, offsets, images_nchw)
            there = torch.zeros_like(scores).masked_fill(scores <= 0, _NOTHING)
        logits, moves = self.recognise(maps, proposed)
        nothing, logits = logits[..., 0], logits[..., 1:]
        return {
            "boxes": self.refined(moves, proposed),
            "logits": logits.softmax(-1).logit(1e-6),
            "objectness": logits.logsumexp(-1) - nothing + there,
        }

    def freeze(self, stages: int) -> None:
        """Let the first ``stages`` (0–4) of the backbone stay as they are. Raises UsageError for more."""
        if not 0 <= stages <= _FIRST:
            raise UsageError(f"{stages} frozen stages of faster_rcnn", expected=f"0 to {_FIRST}")
        self.frozen = stages
        self.backbone[:stages].requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Frozen stages stay as they are, their batch norms too."""
        super().train(mode)
        self.backbone[: self.frozen].eval()
        return self

    def maps(self, images_nchw: Tensor) -> list[Tensor]:
        """The pyramid: maps N×width×h×w of strides 8, 16, 32, 64."""
        stages = self.backbone
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            x = stages[: self.frozen](images_nchw)
        x, features = stages[self.frozen : _FIRST](x), []
        for start, stop, _ in _TAPS:
            x = stages[start:stop](x)
            features.append(x)
        out: list[Tensor] = self.pyramid(features)
        return out

    def anchors_for(self, images_nchw: Tensor) -> Tensor:
        """A×4, in pixels."""
        same = tuple(images_nchw.shape[2:]) == self.size
        return self.anchors if same else anchors(images_nchw.shape[2:]).to(images_nchw.device)

    @torch.no_grad()
    def best(self, objectness_na: Tensor, offsets_na4: Tensor, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """The best proposals N×R×4, doubles taken out, best first, and their scores N×R: 0 where there are fewer."""
        height, width = images_nchw.shape[2:]
        boxes = clip_boxes(moved_boxes(offsets_na4, self.anchors_for(images_nchw)), height, width)
        scores = objectness_na.sigmoid()[..., None]
        boxes, scores, _ = nms(boxes, scores, threshold=_OVERLAP, most=self.proposals, candidates=_CANDIDATES)
        return boxes, scores

    def proposed(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """What is looked at twice: boxes N×R×4 in pixels, best first, and their scores N×R, 0 where there are fewer."""
        objectness, offsets = self.proposer(self.maps(images_nchw))
        return self.best(objectness, offsets, images_nchw)

    def recognise(self, maps: Sequence[Tensor], boxes_nr4: Tensor) -> tuple[Tensor, Tensor]:
        """What is in each of R boxes of each image: logits N×R×(1 + K), the first for nothing, and offsets N×R×K×4."""
        boxes = boxes_nr4.detach()
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-3)
        last = len(_TAPS) - 1
        level = (sides.prod(-1).sqrt() / _COARSER).log2().floor().add(1).clamp(0, last)
        # every box in every map, but with weights of 0 in all except its own: fixed shapes, a third more products
        grids = sum(
            roi_align(maps[k], boxes, stride=STRIDES[k], bins=_BINS, which_nr=level == k) for k in range(last + 1)
        )
        found: tuple[Tensor, Tensor] = self.recogniser(grids)
        return found

    def refined(self, offsets_nrk4: Tensor, boxes_nr4: Tensor) -> Tensor:
        """The boxes N×R×K×4 after the second look."""
        return moved_boxes(offsets_nrk4 * offsets_nrk4.new_tensor(UNITS), boxes_nr4[:, :, None])


def faster_rcnn(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    width: int = 96,
    hidden: int = 256,
    proposals: int = 100,
) -> nn.Module:
    """Faster R-CNN: proposes boxes, then looks at each of them again; its backbone has learnt on ImageNet.

    ``width`` is the channels of the pyramid, ``hidden`` those of the second look, ``proposals`` (1–600) how many boxes
    are looked at again: no image gets more answers of a class.
    """
    if not isinstance(proposals, int) or not 1 <= proposals <= _CANDIDATES:
        raise UsageError(f"proposals={proposals} of faster_rcnn", expected=f"a whole number, 1 to {_CANDIDATES}")
    if len(size) != 2 or min(size) < 32 or any(side % 32 for side in size):
        raise UsageError(
            f"images of {'×'.join(map(str, size))} pixels for faster_rcnn", expected="height and width that 32 divides"
        )
    whole = efficientnet_lite0(classes=1, channels=channels, size=size)
    assert isinstance(whole, Backbone)  # noqa: S101  (tells mypy)
    return FasterRCNN(
        backbone=whole.part(0, 17),
        classes=classes,
        size=size,
        width=width,
        hidden=hidden,
        proposals=proposals,
    )
