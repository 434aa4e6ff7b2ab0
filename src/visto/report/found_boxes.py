"""Which boxes were drawn and what they found, image by image; why those that are wrong are, and what was missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from visto.evaluation import Evaluation
from visto.metrics.box_matching import ALL, Array, BoxMatches, match_boxes
from visto.metrics.box_precision_recall import OVERLAP
from visto.ops.boxes import box_iou
from visto.types import Boxes

NEAR = 0.1  # IoU from which a box is near a thing (Bolya et al. 2020, TIDE), below it there is nothing
FALSE = {
    "double": "A second box on what another has found",
    "class": "On a thing of another class",
    "place": "Near a thing, but too badly placed to count",
    "nothing": "On nothing, or hardly anything",
}
MISSED = {
    "class": "Taken for another class",
    "place": "A box is near, but too badly placed to count",
    "low": "Found by a box whose score is below the threshold",
    "unseen": "Not seen: no box of any score finds it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InImage:
    """One image, in its own pixels: right boxes, wrong ones (the surest first), what was missed (the largest first).

    ``false_kinds`` and ``missed_kinds`` say why, by the keys of ``FALSE`` and ``MISSED``.
    """

    right: Boxes
    false: Boxes
    false_kinds: Sequence[str]
    missed: Boxes
    missed_kinds: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class FoundBoxes:
    """All boxes of N images, of every score, and the true ones; those from ``threshold`` on are drawn.

    ``scored`` is False where the answers carry no scores: they then all count as sure.
    """

    threshold: float
    scored: bool
    said: Sequence[Boxes]
    true: Sequence[Boxes]
    classes: int

    @cached_property
    def _matches(self) -> BoxMatches:
        return match_boxes(self.said, self.true, thresholds=[OVERLAP], ranges=ALL)

    @cached_property
    def scores(self) -> Tensor:
        """Of every box that counts, drawn or not: D float64. What found an ignored box counts neither way."""
        return torch.from_numpy(self._matches.score[self._counts])

    @cached_property
    def hits(self) -> Tensor:
        """Which of these are right: D bool."""
        return torch.from_numpy(self._matches.hit[:, 0, 0][self._counts])

    @cached_property
    def labels(self) -> Tensor:
        return torch.from_numpy(self._matches.label[self._counts])

    @cached_property
    def drawn(self) -> Tensor:
        return self.scores >= _single(self.threshold)

    @property
    def _counts(self) -> Array:
        return np.asarray(self._matches.counts[:, 0, 0])

    @cached_property
    def have(self) -> list[int]:
        """How many boxes of each class there are to find."""
        labels = self._matches.target_label[self._matches.asked[:, 0]]
        found: list[int] = np.bincount(labels, minlength=self.classes).tolist()
        return found

    def per_class(self, which: Tensor) -> list[int]:
        """How many of the boxes that count, and are marked in ``which``, are of each class."""
        found: list[int] = torch.bincount(self.labels[which], minlength=self.classes).tolist()
        return found

    @property
    def wanted(self) -> int:
        return sum(self.have)

    @property
    def right(self) -> int:
        return int(self.hits[self.drawn].sum())

    @cached_property
    def images(self) -> list[InImage]:
        matches = self._matches
        drawn = matches.score >= _single(self.threshold)
        hit, counts, target = matches.hit[:, 0, 0], matches.counts[:, 0, 0], matches.target[:, 0, 0]
        reached = np.zeros(len(matches.asked), dtype=np.int8)  # 1: by a box that is not drawn, 2: by one that is
        reached[target[hit & ~drawn]] = 1
        reached[target[hit & drawn]] = 2
        n = np.arange(matches.images + 1)
        cuts, target_cuts = np.searchsorted(matches.image, n), np.searchsorted(matches.target_image, n)
        starts = np.concatenate([[0], np.cumsum([len(boxes) for boxes in self.said])])
        found = []
        for row, (said, true) in enumerate(zip(self.said, self.true, strict=True)):
            own = slice(cuts[row], cuts[row + 1])
            place = torch.from_numpy(matches.place[own] - starts[row])
            right, false = (torch.from_numpy((mark & drawn & counts)[own]) for mark in (hit, ~hit))
            there = slice(target_cuts[row], target_cuts[row + 1])
            asked = torch.from_numpy(matches.asked[there, 0])
            state = torch.from_numpy(reached[there])[asked]
            found.append(_image(said, true, (place[right], place[false]), asked, state))
        return found


def found_boxes(evaluation: Evaluation) -> FoundBoxes:
    said = [answer.value for answer in evaluation.answers]
    threshold = evaluation.details.get("threshold")
    return FoundBoxes(
        threshold=float(threshold) if isinstance(threshold, int | float) else 0.5,
        scored=all(boxes.scores is not None for boxes in said),
        said=[b if b.scores is not None else replace(b, scores=torch.ones(len(b))) for b in said],
        true=[item.target for item in evaluation.pixels.items if isinstance(item.target, Boxes)],
        classes=len(evaluation.classes),
    )


def kinds(images: Sequence[InImage], of: str) -> Mapping[str, int]:
    """How many boxes are wrong (``of`` false_kinds) or missed (missed_kinds) for each reason.

    >>> kinds([], "false_kinds")
    {'double': 0, 'class': 0, 'place': 0, 'nothing': 0}
    """
    found = dict.fromkeys(FALSE if of == "false_kinds" else MISSED, 0)
    for image in images:
        for kind in getattr(image, of):
            found[kind] += 1
    return found


def _single(threshold: float) -> float:
    """As scores, which are single floats, are compared with it."""
    return float(np.float32(threshold))


def _image(said: Boxes, true: Boxes, places: tuple[Tensor, Tensor], asked: Tensor, state: Tensor) -> InImage:
    """``state`` of the boxes ``asked`` for: 2 found, 1 found by a box that is not drawn, 0 not found."""
    right, false = (_some(said, place) for place in places)
    wanted = _some(true, asked)
    missed, low = _some(wanted, state < 2), state[state < 2] == 1
    if false.scores is not None:
        false = _some(false, false.scores.argsort(descending=True, stable=True))
    sides = missed.xyxy[:, 2:] - missed.xyxy[:, :2]
    order = sides.prod(1).argsort(descending=True, stable=True)
    missed, low = _some(missed, order), low[order]
    return InImage(
        right=right,
        false=false,
        false_kinds=_why_false(false, wanted),
        missed=missed,
        missed_kinds=_why_missed(missed, low, false),
    )


def _some(boxes: Boxes, which: Tensor) -> Boxes:
    scores = boxes.scores[which] if boxes.scores is not None else None
    return Boxes(xyxy=boxes.xyxy[which].float(), labels=boxes.labels[which], scores=scores)


def _overlaps(one: Boxes, other: Boxes) -> tuple[Tensor, Tensor]:
    """The largest IoU of each of M boxes with any of the other ones of its own class, and of another: M, M."""
    overlaps = box_iou(one.xyxy, other.xyxy)
    same = one.labels[:, None] == other.labels[None]
    nothing = torch.zeros(len(one), 1)
    own, foreign = (torch.cat([overlaps.where(mark, 0.0), nothing], 1).amax(1) for mark in (same, ~same))
    return own, foreign


def _why_false(false: Boxes, wanted: Boxes) -> list[str]:
    def kind(own: float, foreign: float) -> str:
        if own >= OVERLAP:
            return "double"
        if foreign >= OVERLAP:
            return "class"
        return "place" if max(own, foreign) >= NEAR else "nothing"

    return [kind(own, foreign) for own, foreign in _pairs(*_overlaps(false, wanted))]


def _why_missed(missed: Boxes, low: Tensor, false: Boxes) -> list[str]:
    def kind(own: float, foreign: float, low: bool) -> str:
        if foreign >= OVERLAP:
            return "class"
        if own >= NEAR:
            return "place"
        return "low" if low else "unseen"

    pairs = _pairs(*_overlaps(missed, false))
    return [kind(own, foreign, barely) for (own, foreign), barely in zip(pairs, low.tolist(), strict=True)]


def _pairs(one: Tensor, other: Tensor) -> list[tuple[float, float]]:
    return list(zip(one.tolist(), other.tolist(), strict=True))
