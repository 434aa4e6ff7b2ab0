"""Average precision of object detection, as COCO defines it (Lin et al. 2014), for any weighting of the images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visto.metrics.box_matching import ALL, RANGES, THRESHOLDS, Array, BoxMatches, check_boxes, match_boxes
from visto.metrics.precision_steps import POINTS, Steps, average_precisions, envelopes, steps
from visto.metrics.rows import RowMetric
from visto.types import Boxes

# steps (or images) × weightings calculated with at once: arrays of 4 MB
_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Detections D and targets G of some images, which are numbered from 0: what ``BoxMatches`` says of them."""

    image: Array
    label: Array
    score: Array
    inside: Array
    hit: Array
    counts: Array
    target_image: Array
    target_label: Array
    asked: Array


def _judged(matches: BoxMatches, first: int = 0) -> _Judged:
    """The images are numbered from ``first``."""
    return _Judged(
        image=matches.image + first,
        label=matches.label,
        score=matches.score,
        inside=matches.inside,
        hit=matches.hit,
        counts=matches.counts,
        target_image=matches.target_image + first,
        target_label=matches.target_label,
        asked=matches.asked,
    )


def _class_steps(parts: Sequence[_Judged], image_at: Array, classes: int) -> list[list[Steps]]:
    """The steps of each of K classes in each of A ranges. The image numbered p stands at ``image_at[p]``."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _Judged.__slots__}
    image, target_image = image_at[columns["image"]], image_at[columns["target_image"]]
    order = np.lexsort((image, -columns["score"], columns["label"]))  # stable: an image's own stay in their order
    cuts = np.searchsorted(columns["label"][order], np.arange(classes + 1))
    found = []
    for k in range(classes):
        own, of_class = order[cuts[k] : cuts[k + 1]], columns["target_label"] == k
        found.append(
            [
                steps(
                    image[own],
                    columns["inside"][own, a],
                    columns["hit"][own, a],
                    columns["counts"][own, a],
                    target_image[of_class & columns["asked"][:, a]],
                    images=len(image_at),
                )
                for a in range(columns["inside"].shape[1])
            ]
        )
    return found


class AveragePrecision(RowMetric[Boxes, BoxMatches]):
    """``map``, ``map50``, ``map75``, ``map_small``, ``map_medium``, ``map_large``, ``map/<class>``, ``map50/<class>``.

    COCO's figures, equal to pycocotools': the mean precision at the recalls 0, 0.01, … 1, where precision is the best
    at that recall or any higher one, averaged over IoU thresholds 0.50, 0.55, … 0.95 (``map50``: only 0.5) and over
    the classes that have targets; of at most 100 detections in an image and class. ``map_small`` is of targets up to
    32² square pixels, ``map_large`` from 96². A class without targets has no figures and no part in the means, so too
    in a resample from which it vanished.

    Detections of equal score stand in order of row. An integer weight w is the same as w copies of the image, as long
    as no two detections of a class have the same score; with weights that are not whole a recall of exactly 0.01,
    0.02, … may round to either side. 110 bytes a detection are kept. 1,000 weightings of 5,000 images with 80 classes
    and 36 detections each take about 12 s on one core.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._judged: list[_Judged] = []
        self._images = 0
        self._sorted: tuple[Mapping[str, Tensor], list[list[Steps]]] | None = None

    def stack(self, predictions: Sequence[Boxes], targets: Sequence[Boxes]) -> BoxMatches:
        check_boxes(predictions, targets, classes=len(self.classes))
        return match_boxes(predictions, targets)

    def keep(self, matches: BoxMatches) -> Mapping[str, Tensor]:
        """The columns hold each image's number; what was found in it is kept aside, as many rows as detections."""
        first = self._images
        self._images += matches.images
        self._judged.append(_judged(matches, first))
        return {"number": torch.arange(first, self._images)}

    def _steps(self) -> list[list[Steps]]:
        """Sorted once for all chunks of resamples."""
        columns = self.columns
        if self._sorted is None or self._sorted[0] is not columns:
            image_at = columns["number"].argsort().numpy()
            self._sorted = (columns, _class_steps(self._judged, image_at, len(self.classes)))
        return self._sorted[1]

    def _precisions(self, weights_nr: Tensor) -> Array:
        """Average precision of K classes, A ranges, T thresholds in R weightings: K×A×T×R, NaN without targets."""
        parts = self._steps()
        longest = max(len(part.images) for ranges in parts for part in ranges)
        width = max(1, _AT_ONCE // max(longest, len(weights_nr)))
        found = np.empty((len(parts), len(RANGES), len(THRESHOLDS), weights_nr.shape[1]))
        for start in range(0, weights_nr.shape[1], width):
            weights = weights_nr[:, start : start + width]
            signed = torch.cat([weights, -weights])
            for k, ranges in enumerate(parts):
                for a, part in enumerate(ranges):
                    found[k, a, :, start : start + width] = average_precisions(part, signed)
        return found

    def compute_many(self, weights_nr: Tensor) -> Mapping[str, Tensor]:
        precisions = torch.from_numpy(self._precisions(weights_nr))
        each = dict(zip(RANGES, precisions.mean(dim=2).unbind(dim=1), strict=True))  # K×R
        map50, map75 = precisions[:, 0, 0], precisions[:, 0, THRESHOLDS.index(0.75)]
        means = {"map": each["all"], "map50": map50, "map75": map75}
        means |= {f"map_{name}": each[name] for name in ("small", "medium", "large")}
        figures = {name: values.nanmean(dim=0) for name, values in means.items()}
        figures |= {f"map/{label}": row for label, row in zip(self.classes, each["all"], strict=True)}
        return figures | {f"map50/{label}": row for label, row in zip(self.classes, map50, strict=True)}


def pr_curve(
    predictions: Sequence[Boxes],
    targets: Sequence[Boxes],
    *,
    classes: int,
    thresholds: Sequence[float] = (0.5, 0.75),
) -> Tensor:
    """The precision of each class at recalls 0, 0.01, … 1, for each IoU threshold: float64 T×K×101.

    Under its envelope, as average precision reads it: the mean of a curve is that class's. 0 where a recall is not
    reached, NaN for a class without targets.
    """
    check_boxes(predictions, targets, classes=classes)
    matches = match_boxes(predictions, targets, thresholds=thresholds, ranges=ALL)
    parts = _class_steps([_judged(matches)], np.arange(len(targets)), classes)
    ones = torch.ones(len(targets), 1).double()
    curves = torch.full((len(thresholds), classes, POINTS), torch.nan).double()
    for k, (part,) in enumerate(parts):
        total, levels = envelopes(part, torch.cat([ones, -ones]))
        for t, (precision, reached) in enumerate(levels if total[0] > 0 else ()):
            at = np.searchsorted(reached[:, 0], np.arange(POINTS), side="right")
            curves[t, k] = torch.from_numpy(np.append(precision[:, 0], 0.0)[at])
    return curves
