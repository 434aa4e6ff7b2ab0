"""Which detection finds which target, judged as COCO does it (Lin et al. 2014; pycocotools' ``COCOeval`` for boxes).

In each image and class the detections choose one after the other, the highest score first: of the targets that are
still free the one with the largest IoU, if that reaches the threshold. Every area range and IoU threshold is a
separate game with its own free targets. All are played at once, and so are all images: the k-th detection of every
image and class moves together. Only pairs that overlap enough for the lowest threshold are looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visto.metrics.rows import check_finite
from visto.types import Boxes

Array = np.ndarray[Any, np.dtype[Any]]

MOST = 100  # detections judged in an image and class
THRESHOLDS: Sequence[float] = np.linspace(0.5, 0.95, 10).tolist()  # of IoU
# square pixels, both ends included; COCO takes 10^10 for no limit
RANGES: Mapping[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
ALL = {"all": RANGES["all"]}

_PAIRS_AT_ONCE = 500_000  # a detection and a target: arrays of 4 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMatches:
    """What D detections in N images have found of G targets, in A area ranges and at T IoU thresholds.

    Detections are in order of image, class, and falling score (equal ones as they were given), ``place`` says where
    each stood among all boxes of the predictions. ``inside`` (D×A bool): its area is in the range. ``target``
    (D×A×T int32) is the place of the target found among all boxes of the targets, or -1. ``asked`` (G×A bool): the
    target is in the range and not ignored.
    """

    images: int
    image: Array
    label: Array
    score: Array
    place: Array
    inside: Array
    target: Array
    target_image: Array
    target_label: Array
    asked: Array

    @property
    def hit(self) -> Array:
        """D×A×T bool: it found a target that was asked for."""
        asked = np.concatenate([self.asked, np.zeros((1, self.asked.shape[1]), bool)])  # -1 is this last row
        return np.asarray(asked[self.target, np.arange(asked.shape[1])[:, None]])

    @property
    def counts(self) -> Array:
        """D×A×T bool: it is right or wrong, and not to be passed over.

        Passed over is what found an ignored target, and what found none and is outside of the range.
        """
        return self.hit | ((self.target < 0) & self.inside[:, :, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flat:
    """The boxes of many images in a row: x, y, width, height (M×4 float64), the image and the label of each."""

    xywh: Array
    image: Array
    label: Array

    @property
    def area(self) -> Array:
        return np.asarray(self.xywh[:, 2] * self.xywh[:, 3])


def check_boxes(predictions: Sequence[Boxes], targets: Sequence[Boxes], *, classes: int) -> None:
    """Raise ValueError for lengths that differ, a label not below ``classes``, or predictions without scores, and
    ModelError for scores that are not numbers."""
    if len(predictions) != len(targets):
        raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")
    labels = _joined([boxes.labels for boxes in (*predictions, *targets)])
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"classes {labels.min():.0f} to {labels.max():.0f}, expected 0 to {classes - 1}")
    for boxes in predictions:
        if boxes.scores is None:
            raise ValueError("a prediction carries no scores")
        check_finite(boxes.scores)


def above(predictions: Sequence[Boxes], threshold: float) -> list[Boxes]:
    """The detections whose score is at least the threshold, compared in the precision of the scores."""
    chosen = []
    for boxes in predictions:
        if boxes.scores is None:
            raise ValueError("a prediction carries no scores")
        kept = boxes.scores >= threshold
        chosen.append(Boxes(xyxy=boxes.xyxy[kept], labels=boxes.labels[kept], scores=boxes.scores[kept]))
    return chosen


def _joined(parts: Sequence[Tensor]) -> Array:
    """Tensors one after the other as float64."""
    return np.asarray(torch.cat([part.detach().cpu().double() for part in parts]).numpy()) if parts else np.zeros(0)


def _flat(boxes: Sequence[Boxes]) -> _Flat:
    corners = _joined([b.xyxy for b in boxes]).reshape(-1, 4)
    return _Flat(
        xywh=np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1),
        image=np.repeat(np.arange(len(boxes)), [len(b) for b in boxes]),
        label=_joined([b.labels for b in boxes]).astype(np.int64),
    )


def _marked(boxes: Sequence[Boxes], name: str) -> Array:
    """A boolean column of all boxes; False where an image lacks it."""
    columns = [(getattr(b, name), len(b)) for b in boxes]
    return np.asarray(_joined([torch.zeros(m) if column is None else column for column, m in columns]) != 0)


def _areas(boxes: Sequence[Boxes], flat: _Flat) -> Array:
    """The area of each target: as given, else its box's."""
    given = _joined([torch.full((len(b),), torch.nan) if b.areas is None else b.areas for b in boxes])
    return np.where(np.isnan(given), flat.area, given)


def _within(areas_m: Array, ranges: Mapping[str, tuple[float, float]]) -> Array:
    """M×A bool."""
    limits = np.array(list(ranges.values()))
    return np.asarray((areas_m[:, None] >= limits[:, 0]) & (areas_m[:, None] <= limits[:, 1]))


def _overlaps(first: Array, second: Array, crowd: Array) -> Array:
    """IoU of P pairs of boxes (x, y, width, height); of a crowd the share of the first box that lies in it.

    Rounded as pycocotools rounds it, so that boxes exactly at a threshold fall on the same side.
    """
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:] + first[:, :2], second[:, 2:] + second[:, :2])
    sides = np.maximum(high - low, 0.0)
    shared, own = sides[:, 0] * sides[:, 1], first[:, 2] * first[:, 3]
    union = np.where(crowd, own, own + second[:, 2] * second[:, 3] - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))


def _blocks(ends_d: Array) -> Iterator[tuple[int, int]]:
    """Ranges of detections with few enough pairs, at least one detection each; ``ends_d`` are cumulated pairs."""
    start = 0
    while start < len(ends_d):
        before = ends_d[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends_d, before + _PAIRS_AT_ONCE, side="right")))
        yield start, end
        start = end


def _candidates(
    found: _Flat, found_group: Array, wanted: _Flat, wanted_group: Array, crowd: Array, least: float
) -> tuple[Array, Array, Array]:
    """The pairs of a group that overlap by ``least`` or more: detection, target and IoU (P each).

    Both groups ascend. Sorted by detection; a detection's best target first, of equal ones the last.
    """
    first = np.searchsorted(wanted_group, found_group)
    many = np.searchsorted(wanted_group, found_group, side="right") - first
    ends = np.cumsum(many)
    nothing = np.zeros(0, np.int64)
    parts = [(nothing, nothing, np.zeros(0))]
    for start, end in _blocks(ends):
        one = np.repeat(np.arange(start, end), many[start:end])
        other = np.arange(len(one)) + (first - ends + many)[one] + (ends[start] - many[start])
        overlaps = _overlaps(found.xywh[one], wanted.xywh[other], crowd[other])
        enough = overlaps >= least
        parts.append((one[enough], other[enough], overlaps[enough]))
    one, other, overlaps = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((-other, -overlaps, one))
    return one[order], other[order], overlaps[order]


def _choose(
    pairs: tuple[Array, Array, Array], group: Array, asked: Array, crowd: Array, thresholds: Sequence[float]
) -> Array:
    """The target that each of D detections takes, D×A×T int32, -1 for none; ``group`` D ascends."""
    detections, others, overlaps = pairs
    targets, areas = asked.shape
    chosen = np.full((len(group), areas, len(thresholds)), -1, np.int32)
    taken = np.zeros((targets + 1, areas, len(thresholds)), bool)
    rating = np.concatenate([asked, np.zeros((1, areas), bool)]).astype(np.int8)[:, :, None] + np.int8(1)
    crowd = np.append(crowd, True)  # the last row of these three stands for no target
    chooser, start, many = np.unique(detections, return_index=True, return_counts=True)
    own = group[chooser]
    turn = np.arange(len(own)) - np.searchsorted(own, own)
    by_turn = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn)) if len(turn) else np.zeros(0, np.int64)
    for begin, end in zip([0, *ends[:-1]], ends, strict=False):
        rows = by_turn[begin:end]
        columns = np.arange(many[rows].max())
        known = columns < many[rows, None]
        at = np.where(known, start[rows, None] + columns, 0)
        target = np.where(known, others[at], targets)
        overlap = np.where(known, overlaps[at], -1.0)
        free = (overlap[:, :, None, None] >= np.array(thresholds)) & ~taken[target]
        # 2: asked for, 1: ignored, 0: not to be had; the first of the highest is the best
        worth = free * rating[target]
        best = worth.argmax(axis=1)[:, None]
        pick = np.take_along_axis(target[:, :, None, None], best, axis=1)[:, 0]
        pick = np.where(np.take_along_axis(worth, best, axis=1)[:, 0] > 0, pick, targets)
        chosen[chooser[rows]] = np.where(pick < targets, pick, -1)
        _, area, level = (~crowd[pick]).nonzero()
        taken[pick[~crowd[pick]], area, level] = True
    return chosen


def match_boxes(
    predictions: Sequence[Boxes],
    targets: Sequence[Boxes],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    ranges: Mapping[str, tuple[float, float]] = RANGES,
    most: int = MOST,
) -> BoxMatches:
    """What the detections of N images find, of which the ``most`` with the highest scores in an image and class play.

    A target outside of the range counts as ignored. A detection takes an ignored target only where no other is to be
    had; one that stands for a crowd can be taken again, and for it IoU is the share of the detection that lies in it.
    Of equally good targets the last given is taken, of equal scores the first given plays first. A target's area is
    the one that it carries, else that of its box. What a detection finds does not depend on those with lower scores.
    """
    scores = [boxes.scores for boxes in predictions if boxes.scores is not None]
    found, wanted, score = _flat(predictions), _flat(targets), _joined(scores)
    classes = 1 + int(max(found.label.max(initial=0), wanted.label.max(initial=0)))
    group = found.image * classes + found.label
    place = np.lexsort((-score, group))
    rank = np.arange(len(place)) - np.searchsorted(group[place], group[place])
    place = place[rank < most]
    found = _Flat(xywh=found.xywh[place], image=found.image[place], label=found.label[place])
    crowd = _marked(targets, "crowd")
    asked = _within(_areas(targets, wanted), ranges) & ~(_marked(targets, "ignored") | crowd)[:, None]
    wanted_group = wanted.image * classes + wanted.label
    order = np.argsort(wanted_group, kind="stable")
    there = _Flat(xywh=wanted.xywh[order], image=wanted.image[order], label=wanted.label[order])
    pairs = _candidates(found, group[place], there, wanted_group[order], crowd[order], min(thresholds))
    target = _choose(pairs, group[place], asked[order], crowd[order], thresholds)
    return BoxMatches(
        images=len(targets),
        image=found.image,
        label=found.label,
        score=score[place],
        place=place,
        inside=_within(found.area, ranges),
        target=np.append(order, -1).astype(np.int32)[target],
        target_image=wanted.image,
        target_label=wanted.label,
        asked=asked,
    )
