"""Regions of images as examples: what each holds, and batches of them for the CNN of R-CNN (Girshick et al. 2014)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.data.cache import Pixels
from visto.data.loader import Order, gather
from visto.errors import DataError
from visto.learn.balance import Balance
from visto.learn.engine import Engine
from visto.learn.feed import Beginning
from visto.learn.randomness import generator, reseed
from visto.learn.recipe import Recipe
from visto.models.rcnn import RCNN
from visto.ops.boxes import box_areas, box_iou, intersections
from visto.types import Batch, Voice

HOLDS = 0.5  # overlap from which on a region holds a thing
_SHARE = 0.25  # of a batch that holds things
_TOGETHER = 8  # images at once that regions are cut out of
_LOOKED_AT = 512  # regions of validation images that are looked at while training


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """G regions of some images: the image of each, its box in pixels of the input, and the thing it fits best.

    ``overlap`` (G) is the IoU with that thing, ``label`` its class and ``thing`` its box; 0, -1 and the region's own
    box where there is none. ``overlaps`` (G×K) is the best IoU with a thing of each class. ``true`` says which regions
    are the things themselves; others that lie by more than half in what is to be ignored are left out.
    """

    image: Tensor
    box: Tensor
    overlap: Tensor
    label: Tensor
    thing: Tensor
    overlaps: Tensor
    true: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def rows_of(self, image: int) -> Tensor:
        return (self.image == image).nonzero().flatten()


def regions_of(proposed: list[Tensor], targets_nm6: Tensor, classes: int) -> Regions:
    """All proposals (a list of M×4) and true boxes of images, matched with the targets as ``Detection`` collates."""
    parts: list[tuple[Tensor, ...]] = []
    for number, (boxes, rows) in enumerate(zip(proposed, targets_nm6, strict=True)):
        things, spared = rows[(rows[:, 0] >= 0) & (rows[:, 5] == 0)], rows[(rows[:, 0] >= 0) & (rows[:, 5] > 0), 1:5]
        every, labels = torch.cat([boxes, things[:, 1:5]]), things[:, 0].long()
        true = torch.arange(len(every)) >= len(boxes)
        table = box_iou(every, things[:, 1:5])
        overlap, label, thing = _most(table), torch.full((len(every),), -1), every
        if len(things):
            which = table.argmax(1)
            which[true] = torch.arange(len(things))  # a thing stands for itself, whatever else has its box
            label, thing = torch.where(overlap > 0, labels[which], -1), things[which, 1:5]
        by_class = torch.stack([_most(table[:, labels == k]) for k in range(classes)], 1)
        inside = _most(intersections(every, spared)) > HOLDS * box_areas(every)
        kept = true | (overlap >= HOLDS) | ~inside
        columns = (torch.full((len(every),), number), every, overlap, label, thing, by_class, true)
        parts.append(tuple(column[kept] for column in columns))
    image, box, overlap, label, thing, overlaps, true = (torch.cat(column) for column in zip(*parts, strict=True))
    return Regions(image=image, box=box, overlap=overlap, label=label, thing=thing, overlaps=overlaps, true=true)


def covered(regions: Regions) -> float:
    """The share of things that some region overlaps by a half or more, themselves left out: the recall of proposals."""
    found = 0
    for image in sorted(set(regions.image[regions.true].tolist())):
        rows = regions.rows_of(image)
        things, others = regions.box[rows[regions.true[rows]]], regions.box[rows[~regions.true[rows]]]
        found += int((_most(box_iou(things, others)) >= HOLDS).sum())
    return found / max(1, int(regions.true.sum()))


def _most(table_gm: Tensor) -> Tensor:
    return table_gm.amax(1) if table_gm.shape[1] else table_gm.new_zeros(len(table_gm))


class _Classifier(nn.Module):
    """The CNN with a layer for nothing and K classes: what is fine-tuned, before the machines take its place.

    The first ``frozen`` stages stay as they are, their batch norms too.
    """

    def __init__(self, cnn: nn.Sequential, features: int, classes: int, frozen: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.classifier = nn.Linear(features, 1 + classes)
        self.frozen = frozen
        cnn[:frozen].requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.cnn[: self.frozen].eval()
        return self

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            x = self.cnn[: self.frozen](crops)
        return {"logits": self.classifier(self.cnn[self.frozen :](x))}


class RegionFeed:
    """Batches of warped regions, a quarter of them on things; the CNN of ``model`` learns to tell what is in them.

    An epoch is as many steps as it takes to see as many regions on things as there are. Regions are mirrored at random
    where the recipe says ``flip``.
    """

    def __init__(
        self, recipe: Recipe, model: RCNN, train: tuple[Pixels, Regions], held: tuple[Pixels, Regions]
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.train, self.regions = train
        self.held, held_regions = held
        self.classes = model.machines.out_features
        holds = self.regions.overlap >= HOLDS
        self.on, self.off = holds.nonzero().flatten(), (~holds).nonzero().flatten()
        if not len(self.on):
            raise DataError("no thing in any of the training images", expected="boxes to learn from")
        self.order = Order(len(self.on), max(1, round(recipe.batch_size * _SHARE)))
        self.balance = Balance("none", torch.empty(0))
        random = generator(recipe.seed, "regions held out", 0)
        holds = held_regions.overlap >= HOLDS
        self.looked_at = (
            torch.cat(
                [
                    _some(holds.nonzero().flatten(), round(_LOOKED_AT * _SHARE), random),
                    _some((~holds).nonzero().flatten(), round(_LOOKED_AT * (1 - _SHARE)), random),
                ]
            )
            .sort()
            .values
        )
        self.held_regions = held_regions
        self.validation_images = len(self.looked_at)
        self.validation_targets = self._targets(held_regions, self.looked_at)

    def _targets(self, regions: Regions, rows: Tensor) -> Tensor:
        """Soft labels N×(1 + K): nothing, or a class."""
        label = torch.where(regions.overlap[rows] >= HOLDS, regions.label[rows] + 1, 0)
        return F.one_hot(label, 1 + self.classes).float()

    def _crops(self, pixels: Pixels, regions: Regions, rows: Tensor) -> Tensor:
        parts = []
        for some in torch.split(rows, _TOGETHER):
            images = gather(pixels, regions.image[some]).float() / 255
            parts.append(self.model.crops(images, regions.box[some, None])[:, 0])
        return torch.cat(parts)

    def prepare(self, engine: Engine, voice: Voice) -> None:
        pass

    def module(self) -> nn.Module:
        reseed(self.recipe.seed, "model", 0)
        made = _Classifier(self.model.cnn, self.model.machines.in_features, self.classes, self.recipe.frozen)
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batch(self, step: int, done: float = 0.0) -> Batch[Tensor]:
        if self.order.needs_shuffle(step):
            epoch = self.order.epoch(step)
            self.order.shuffle(epoch, generator(self.recipe.seed, "order", epoch))
        random = generator(self.recipe.seed, "augment", step)
        on = self.on[self.order.rows(step)]
        rows = torch.cat([on, _some(self.off, self.recipe.batch_size - len(on), random)])
        crops = self._crops(self.train, self.regions, rows)
        if "flip" in self.recipe.augmentation:
            flipped = torch.rand(len(rows), generator=random) < 0.5
            crops = torch.where(flipped[:, None, None, None], crops.flip(3), crops)
        return Batch(inputs={"images": crops}, targets=self._targets(self.regions, rows), rows=rows)

    def held_out(self) -> Iterator[Tensor]:
        for rows in torch.split(self.looked_at, self.recipe.batch_size):
            yield self._crops(self.held, self.held_regions, rows)

    def trial(self) -> tuple[nn.Module, Tensor]:
        return self.module(), self.batch(0).inputs["images"][:32]

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        return Beginning()

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the CNN as the model has them."""
        return {name: value for name, value in weights.items() if name.startswith("cnn.")}


def _some(rows: Tensor, count: int, random: torch.Generator) -> Tensor:
    """At most so many of the rows, at random."""
    if len(rows) <= count:
        return rows
    return rows[torch.randperm(len(rows), generator=random)[:count]]
