"""R-CNN (Girshick et al. 2014, arXiv 1311.2524): regions of an image, each classified by itself.

Selective search proposes a few hundred regions of any class. Each is warped to a square, a CNN describes it, a linear
support vector machine for each class scores the description, and a linear map moves its sides. Of regions of a class
that overlap, the best stays. Nothing is shared between regions: what that costs is what came after is about.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.backbone import Backbone
from visto.models.efficientnet_lite import efficientnet_lite0
from visto.models.weights import WEIGHTS
from visto.ops.box_offsets import moved_boxes
from visto.ops.boxes import clip_boxes
from visto.ops.nms import suppress
from visto.ops.selective_search import selective_search
from visto.ops.warp import warped

CONTEXT = 16 / 227  # of the square, on each side, that shows what is around the region
FEATURES = 1280
_OVERLAP = 0.3  # of two regions of a class: the lesser goes
_SURE = 100.0  # a logit that is as good as certain
_TOGETHER = 64  # regions that go through the CNN at once


class RCNN(nn.Module):
    """From images N×C×H×W in 0–1 to, for each of R proposals, its score and box for each class.

    ``boxes`` N×R×K×4 are corners in pixels of the input; ``logits`` N×R×K are the scores of the machines, far below 0
    where another region of the class stands for the same thing; ``objectness`` N×R says which proposals there are.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor

    def __init__(self, *, cnn: nn.Sequential, classes: int, proposals: int, side: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.machines = nn.Linear(FEATURES, classes)
        # dx, dy, dw, dh: each with a row for each class
        self.moves = [nn.Linear(FEATURES, classes) for _ in range(4)]
        self.offsets = nn.ModuleList(self.moves)
        self.proposals = proposals
        self.side = side
        self.register_buffer("scale", torch.ones(()))  # brings descriptions to one length
        known = WEIGHTS["rcnn"]
        self.register_buffer("mean", torch.tensor(known.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(known.std).view(3, 1, 1), persistent=False)

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        boxes, scores = self.proposed(images_nchw)
        features = boxes.new_zeros(*scores.shape, FEATURES)
        for row, image in enumerate(images_nchw):
            there = (scores[row] > 0) | self.training  # batch norm needs more than one region to learn from
            features[row, there] = self.described(image[None], boxes[row][there][None])[0]
        return self.judged(features, boxes, scores > 0, images_nchw.shape[2:])

    def proposed(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """What is looked at: boxes N×R×4 in pixels, best first, and their scores N×R, 0 where there are fewer.

        Selective search puts regions in an order, and does not say how good they are: scores fall evenly from 1.
        """
        boxes = images_nchw.new_zeros(len(images_nchw), self.proposals, 4)
        scores = boxes.new_zeros(boxes.shape[:2])
        falling = 1 - torch.arange(self.proposals, device=boxes.device) / self.proposals
        for row, image in enumerate(images_nchw.detach()):
            found = selective_search((image * 255).round().clamp(0, 255).byte().cpu(), most=self.proposals)
            boxes[row, : len(found)] = found.to(boxes.device)
            scores[row, : len(found)] = falling[: len(found)]
        return boxes, scores

    def crops(self, images_nchw: Tensor, boxes_nr4: Tensor) -> Tensor:
        """The regions as the CNN takes them: N×R×3×side×side."""
        images = images_nchw.expand(-1, 3, -1, -1) - self.mean
        return warped(images, boxes_nr4, side=self.side, context=CONTEXT) / self.std

    def described(self, images_nchw: Tensor, boxes_nr4: Tensor) -> Tensor:
        """What the CNN says of each region: N×R×1280, of one mean length."""
        rows = []
        for image, boxes in zip(images_nchw, boxes_nr4, strict=True):
            for some in torch.split(boxes, len(boxes) if self.training else _TOGETHER):
                crops = self.crops(image[None], some[None])[0].contiguous(memory_format=torch.channels_last)
                rows.append(self.cnn(crops))
        return torch.cat(rows).view(*boxes_nr4.shape[:2], FEATURES) * self.scale

    def judged(self, features: Tensor, boxes_nr4: Tensor, real_nr: Tensor, size: Sequence[int]) -> dict[str, Tensor]:
        """Score and box of each region for each class."""
        logits = self.machines(features).float()
        moves = torch.stack([move(features) for move in self.offsets], -1).float()
        boxes = clip_boxes(moved_boxes(moves, boxes_nr4[:, :, None]), size[0], size[1])
        stay = self._standing(boxes.detach(), logits.detach(), real_nr)
        return {
            "boxes": boxes,
            "logits": torch.where(stay, logits, logits.clamp(max=0) - _SURE),
            "objectness": torch.where(real_nr, _SURE, -_SURE),
        }

    @staticmethod
    def _standing(boxes_nrk4: Tensor, logits_nrk: Tensor, real_nr: Tensor) -> Tensor:
        """Which regions stand for a thing of each class, N×R×K: those that no better one overlaps."""
        scores = logits_nrk.masked_fill(~real_nr[..., None], -torch.inf).transpose(1, 2).flatten(0, 1)
        order = torch.sort(scores, dim=1, descending=True, stable=True).indices
        boxes = boxes_nrk4.transpose(1, 2).flatten(0, 1).gather(1, order[..., None].expand(-1, -1, 4))
        kept = suppress(boxes, torch.zeros_like(order), _OVERLAP)
        stay = torch.zeros_like(kept).scatter(1, order, kept)
        n, regions, classes = logits_nrk.shape
        return stay.view(n, classes, regions).transpose(1, 2) & real_nr[..., None]


def rcnn(*, classes: int, channels: int, size: Sequence[int], proposals: int = 300, side: int = 96) -> nn.Module:
    """R-CNN: proposed regions, each classified by itself; for learning about detection rather than for speed.

    ``proposals`` is how many regions of an image are looked at, ``side`` the pixels a side that each is brought to. The
    weights of the CNN are those that ``efficientnet_lite0`` learnt on ImageNet.
    """
    if channels not in (1, 3) or len(size) != 2:
        raise UsageError(f"images of {channels} channels for rcnn", expected="1 or 3")
    if not isinstance(proposals, int) or not isinstance(side, int) or proposals < 1 or side < 32:
        raise UsageError(f"proposals={proposals}, side={side}", expected="at least 1 region, of 32 pixels or more")
    whole = efficientnet_lite0(classes=1, channels=3, size=[side, side])
    assert isinstance(whole, Backbone)  # noqa: S101  (tells mypy)
    return RCNN(cnn=whole.part(0), classes=classes, proposals=proposals, side=side)
