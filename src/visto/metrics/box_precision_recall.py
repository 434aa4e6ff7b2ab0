"""Precision and recall of object detection at one score threshold, the threshold with the best F1, recall by size."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from visto.metrics.box_matching import ALL, RANGES, Array, BoxMatches, above, check_boxes, match_boxes
from visto.metrics.precision_recall import class_figures, ratio
from visto.metrics.rows import RowMetric
from visto.types import Boxes

OVERLAP = 0.5  # IoU from which a detection has found its target

_FEWEST_TARGETS = 5  # below, the threshold stays at a half
_RESAMPLES = 25
_EDGE = 1e-6  # scores are taken to lie this far from 0 and 1


def _by_class(image: Array, label: Array, images: int, classes: int) -> Tensor:
    """How many boxes of each class each image has: N×K int64."""
    counts = np.bincount(image * classes + label, minlength=images * classes)
    return torch.from_numpy(counts.astype(np.int64).reshape(images, classes))


class BoxPrecisionRecall(RowMetric[Boxes, BoxMatches]):
    """``precision``, ``recall`` and ``f1`` of all boxes, and ``precision/<class>``, … of each class.

    Of the detections with a score of at least ``threshold`` those that find a target of their class (IoU of at least
    0.5, matched as for average precision) are right. Ignored targets, and what finds them, count neither way. All
    boxes count alike in the first three (micro averages): they are the shares of the boxes that a user sees. A ratio
    of nothing is 0; a class with neither detections nor targets has no figures. Boxes of an image are not
    independent, so these are no plain proportions: their intervals are the bootstrap's over images.
    """

    def __init__(self, classes: Sequence[str], threshold: float) -> None:
        super().__init__(classes)
        self.threshold = threshold

    def stack(self, predictions: Sequence[Boxes], targets: Sequence[Boxes]) -> BoxMatches:
        check_boxes(predictions, targets, classes=len(self.classes))
        return match_boxes(above(predictions, self.threshold), targets, thresholds=[OVERLAP], ranges=ALL)

    def keep(self, matches: BoxMatches) -> Mapping[str, Tensor]:
        hit, counts, asked = matches.hit[:, 0, 0], matches.counts[:, 0, 0], matches.asked[:, 0]
        size = (matches.images, len(self.classes))
        return {
            "hits": _by_class(matches.image[hit], matches.label[hit], *size),
            "predicted": _by_class(matches.image[counts], matches.label[counts], *size),
            "targets": _by_class(matches.target_image[asked], matches.target_label[asked], *size),
        }

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        hits, predicted, support = (
            self.columns[name].T.double() @ weights_nr for name in ("hits", "predicted", "targets")
        )
        hit, found, wanted = hits.sum(dim=0), predicted.sum(dim=0), support.sum(dim=0)
        something = found + wanted > 0
        return {
            **class_figures(self.classes, hits, predicted, support),
            "precision": ratio(hit, found).where(something, torch.nan),
            "recall": ratio(hit, wanted).where(something, torch.nan),
            "f1": ratio(2 * hit, found + wanted).where(something, torch.nan),
        }


def _classes(boxes: Sequence[Boxes]) -> int:
    """One more than the highest label."""
    return 1 + max((int(b.labels.max()) for b in boxes if len(b)), default=0)


def best_threshold(predictions: Sequence[Boxes], targets: Sequence[Boxes]) -> float:
    """The score (0–1) from which the boxes of held-out images have the best F1, all classes together.

    The best threshold of one small sample is a matter of luck, so it is the mean, in log-odds, over 25 bootstrap
    resamples of the images, drawn the same each time; of thresholds that are equally good in one, the nearest to a
    half. 0.5 for fewer than 5 targets, and where no detection finds one.
    """
    check_boxes(predictions, targets, classes=_classes([*predictions, *targets]))
    # what a detection finds does not depend on lower ones, so this one matching serves every threshold
    matches = match_boxes(predictions, targets, thresholds=[OVERLAP], ranges=ALL)
    counts, asked = matches.counts[:, 0, 0], matches.asked[:, 0]
    hit = matches.hit[:, 0, 0][counts]
    if int(asked.sum()) < _FEWEST_TARGETS or not hit.any():
        return 0.5
    generator = np.random.default_rng(0)
    n = len(targets)
    weights_nr = np.stack([np.bincount(generator.integers(0, n, n), minlength=n) for _ in range(_RESAMPLES)], axis=1)
    wanted = weights_nr[matches.target_image[asked]].sum(axis=0)
    score = matches.score[counts]
    order = np.argsort(-score, kind="stable")
    weights = weights_nr[matches.image[counts][order]]
    hits = np.cumsum(weights * hit[order, None], axis=0)
    f1 = 2 * hits / np.maximum(np.cumsum(weights, axis=0) + wanted, 1)
    # a threshold lies between two scores that differ: at a half where that is between them, else midway in log-odds
    clipped = np.append(np.clip(score[order], _EDGE, 1 - _EDGE), _EDGE)
    odds = np.log(clipped / (1 - clipped))
    high, low = odds[:-1], odds[1:]
    between = np.where((low < 0) & (high >= 0), 0.0, (low + high) / 2)
    f1[high <= low] = -1.0
    far = np.where(f1 >= f1.max(axis=0) - 1e-12, np.abs(between)[:, None], np.inf)
    return round(float(1 / (1 + np.exp(-between[far.argmin(axis=0)].mean()))), 6)


def recall_by_size(
    predictions: Sequence[Boxes], targets: Sequence[Boxes], *, threshold: float
) -> dict[str, tuple[int, int]]:
    """How many of the targets of each of COCO's sizes (small, medium, large) are found, and how many there are.

    By detections with a score of at least ``threshold``, at an IoU of at least 0.5.
    """
    check_boxes(predictions, targets, classes=_classes([*predictions, *targets]))
    matches = match_boxes(above(predictions, threshold), targets, thresholds=[OVERLAP])
    found, asked = matches.hit[:, :, 0].sum(axis=0), matches.asked.sum(axis=0)
    return {name: (int(found[a]), int(asked[a])) for a, name in enumerate(RANGES) if name != "all"}
