"""Detections sorted once by score, so that the average precision of any weighting of the images needs sums only.

Precision under its envelope is only read at hits, so the misses between two hits are one sum. The hits at all IoU
thresholds of a class and area range share their steps: a step is a detection that is a hit at one of them, and what
counts up to it differs between the thresholds only by the few detections that are passed over, or are hits although
they lie outside of the range.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visto.metrics.box_matching import Array
from visto.metrics.rows import bag_sums

POINTS = 101  # recalls 0, 0.01, … 1 at which COCO reads precision

_TINY = float(np.finfo(np.float64).tiny)
_WIDE = 1000  # below this width × √rows, calls cost more than they save


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """The hits at one IoU threshold: M ``steps``, and M bags of what counts otherwise than in general.

    ``order`` holds images, those of detections that do not count plus the number of images; bag m, from ``starts[m]``,
    is what lies between hit m - 1 and hit m, itself included.
    """

    steps: Array
    order: Tensor
    starts: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One class in one area range: the images of its S steps, of the detections in the range up to each step (S bags
    of ``order`` from ``starts``), and of the targets asked for; the hits of each of T IoU thresholds."""

    images: Tensor
    order: Tensor
    starts: Tensor
    targets: Tensor
    hits: Sequence[Hits]


def _bags(places: Array, values: Array, ends: Array) -> tuple[Tensor, Tensor]:
    """The values up to and with each end, as bags: places and ends ascend, what is after the last end is left out."""
    places_end = np.searchsorted(places, ends, side="right")
    starts = np.concatenate([[0], places_end])[: len(ends)]
    last = int(places_end[-1]) if len(ends) else 0
    return torch.from_numpy(values[:last]), torch.from_numpy(starts)


def steps(image: Array, inside: Array, hit: Array, counts: Array, target_image: Array, *, images: int) -> Steps:
    """The steps of D detections by falling score: their images, whether they lie in the range (D bool), and whether
    they are a hit and whether they count at all, at T IoU thresholds (D×T bool)."""
    places = np.flatnonzero(hit.any(axis=1))
    within = np.flatnonzero(inside)
    order, starts = _bags(within, image[within], places)
    levels = []
    for hit_d, counts_d in zip(hit.T, counts.T, strict=True):
        ends = np.flatnonzero(hit_d)
        other = np.flatnonzero(counts_d != inside)
        change, change_starts = _bags(other, image[other] + images * ~counts_d[other], ends)
        levels.append(Hits(steps=np.searchsorted(places, ends), order=change, starts=change_starts))
    return Steps(
        images=torch.from_numpy(image[places]),
        order=order,
        starts=starts,
        targets=torch.from_numpy(target_image),
        hits=levels,
    )


def _run(operation: np.ufunc, values_mr: Array) -> Array:
    """The running sum or maximum down M rows, in their place.

    Block by block and in whole rows, which takes 1.5 to 3 ns a value where numpy's own, down one column after the
    other, takes 4 to 14.

    >>> _run(np.add, np.arange(1.0, 5).reshape(4, 1)).flatten().tolist()
    [1.0, 3.0, 6.0, 10.0]
    """
    rows, width = values_mr.shape
    length = math.isqrt(rows)
    if width * length < _WIDE:
        return np.asarray(operation.accumulate(values_mr, axis=0, out=values_mr))
    whole = rows // length * length
    blocks = values_mr[:whole].reshape(-1, length, width)
    for i in range(1, length):
        operation(blocks[:, i - 1], blocks[:, i], out=blocks[:, i])
    for i in range(1, len(blocks)):
        operation(blocks[i], blocks[i - 1, -1], out=blocks[i])
    for i in range(whole, rows):
        operation(values_mr[i - 1], values_mr[i], out=values_mr[i])
    return values_mr


def envelopes(part: Steps, signed: Tensor) -> tuple[Array, list[tuple[Array, Array]]]:
    """The weight of the targets (R), and for each of T thresholds the precision under its envelope at the M hits and
    the number of COCO's recalls that are reached up to each: both M×R.

    ``signed`` are the weights N×R followed by their negatives: 2N×R.
    """
    total = bag_sums(signed, part.targets, torch.zeros(1, dtype=torch.int64))[0].numpy()
    own_sr = signed[part.images].numpy()
    base_sr = _run(np.add, bag_sums(signed, part.order, part.starts).numpy())
    np.maximum(base_sr, _TINY, out=base_sr)  # where nothing counts there is no hit: 0 / tiny is the precision 0
    known = np.where(total > 0, total, 1.0)
    levels = []
    for level in part.hits:
        hits = _run(np.add, own_sr[level.steps])
        counted = base_sr[level.steps]
        if len(level.order):
            counted += _run(np.add, bag_sums(signed, level.order, level.starts).numpy())
            np.maximum(counted, _TINY, out=counted)
        precision = np.divide(hits, counted, out=counted)
        hits /= known
        _run(np.maximum, precision[::-1])
        levels.append((precision, _reached(hits)))
    return total, levels


def _reached(recall: Array) -> Array:
    """How many of the recalls 0, 0.01, … 1 are at or below each; these rounded as numpy's linspace rounds them.

    >>> _reached(np.array([0.0, 0.009, 0.35, 1.0])).tolist()
    [1.0, 1.0, 35.0, 101.0]
    """
    nearest = recall * (POINTS - 1)
    np.rint(nearest, out=nearest)
    below = nearest * 0.01 <= recall
    nearest += below
    return nearest


def average_precisions(part: Steps, signed: Tensor) -> Array:
    """Average precision at T thresholds in R weightings, T×R; NaN where a weighting has no target."""
    total, levels = envelopes(part, signed)
    found = np.zeros((len(levels), len(total)))
    for row, (precision, reached) in zip(found, levels, strict=True):
        if len(precision):
            np.einsum("mr,mr->r", precision[1:], np.diff(reached, axis=0), out=row)
            row += precision[0] * reached[0]
    return np.where(total > 0, found / POINTS, np.nan)
