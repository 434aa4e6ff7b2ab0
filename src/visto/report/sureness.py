"""How far the scores can be believed: calibration in bins, and what is gained by answering only when sure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visto.metrics.ece import BINS, confidence_bins
from visto.metrics.wilson import wilson
from visto.report.judged import Judged
from visto.report.svg import thinned
from visto.types import Answer

LEAST_SCORE = 0.05  # of a box: an image can have a hundred below it, nearly all of them wrong, and nobody asks
_CHUNK_SCORES = 1_000_000
_POINTS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Answers between ``low`` and ``high`` sure: mean claim, the part that was right, its 95 % bounds, how many."""

    low: float
    high: float
    count: int
    claimed: float
    right: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``claimed`` and ``right`` are means over all ``count`` claims; ``error`` is their gap by bin, weighed by count.

    ``chance`` is the error that scores without fault would be expected to show on so many claims.
    """

    bins: list[Bin]
    count: int
    claimed: float
    right: float
    error: float
    chance: float

    @property
    def off(self) -> bool:
        """Whether the scores are wrong by more than chance and more than a practitioner could shrug off."""
        return self.error > 0.03 and self.error > 2 * self.chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Answering only from ``threshold`` sure: the part still answered (``count`` images), how often it is right."""

    coverage: float
    count: int
    threshold: float
    right: float
    low: float
    high: float


def calibration(judged: Judged) -> Calibration | None:
    """None where the answers carry no scores. Of boxes, those that are drawn."""
    return _calibration(_claims(judged))


def bins_of(judged: Judged) -> list[Bin]:
    """What a plot of calibration shows: as much as ``calibration``, of boxes many that are not drawn, too."""
    boxes = judged.boxes
    if boxes is None:
        known = calibration(judged)
    else:
        some = boxes.drawn | (boxes.scores >= LEAST_SCORE)
        known = _calibration([(boxes.scores[some], boxes.hits[some])] if boxes.scored else [])
    return known.bins if known is not None else []


def _calibration(pairs: Iterable[tuple[Tensor, Tensor]]) -> Calibration | None:
    counts, claims, trues, spread = (torch.zeros(BINS).double() for _ in range(4))
    for claimed, came_true in pairs:
        bins, claimed = confidence_bins(claimed), claimed.double()
        for total, values in (
            (counts, torch.ones_like(claimed)),
            (claims, claimed),
            (trues, came_true.double()),
            (spread, claimed * (1 - claimed)),
        ):
            total.index_add_(0, bins, values)
    n = float(counts.sum())
    if not n:
        return None
    low, high = wilson(trues, counts)
    found = [
        Bin(
            low=k / BINS,
            high=(k + 1) / BINS,
            count=int(counts[k]),
            claimed=float(claims[k] / counts[k]),
            right=float(trues[k] / counts[k]),
            least=float(low[k]),
            most=float(high[k]),
        )
        for k in range(BINS)
    ]
    return Calibration(
        bins=found,
        count=int(n),
        claimed=float(claims.sum()) / n,
        right=float(trues.sum()) / n,
        error=float((trues - claims).abs().sum()) / n,
        # the mean distance of a sum of independent draws from its expectation: σ √(2/π), near enough
        chance=float(spread.sqrt().sum()) * math.sqrt(2 / math.pi) / n,
    )


def _claims(judged: Judged) -> Iterator[tuple[Tensor, Tensor]]:
    """How likely something was said to be, and whether it was so: the answer, or each class where there are many."""
    if judged.boxes is not None:
        if judged.boxes.scored:
            yield judged.boxes.scores[judged.boxes.drawn], judged.boxes.hits[judged.boxes.drawn]
        return
    if judged.single:
        if judged.sureness is not None:
            yield judged.sureness, judged.right
        return
    answers, targets = judged.answers, judged.targets
    scored = next((a.value.scores for a in answers if a.value.scores is not None), None)
    step = max(1, _CHUNK_SCORES // max(1, len(scored) if scored is not None else 1))
    for start in range(0, len(answers) if scored is not None else 0, step):
        yield _decisions(answers[start : start + step], targets[start : start + step])


def _decisions(answers: Sequence[Answer[Any]], targets: Sequence[Any]) -> tuple[Tensor, Tensor]:
    scores = torch.stack([a.value.scores for a in answers])
    truth = torch.zeros(scores.shape, dtype=torch.bool)
    for row, target in enumerate(targets):
        truth[row, list(target.classes)] = True
    return scores.flatten(), truth.flatten()


def coverage(judged: Judged) -> list[Kept]:
    """The curve from the surest few (at least 5 of 100 images, and 10) to all, in at most 120 points.

    Images as sure as each other are answered together or not at all.
    """
    if judged.sureness is None or not judged.single:
        return []
    return _kept(judged, [1 + k for k in thinned(len(judged.right), _POINTS)])


def thresholds(judged: Judged) -> list[Kept]:
    """A few places on the curve: all, 95 %, 90 %, 80 %, 70 % and half of the images answered."""
    if judged.sureness is None or not judged.single:
        return []
    n = len(judged.right)
    found = _kept(judged, sorted({max(1, round(n * part / 100)) for part in (50, 70, 80, 90, 95, 100)}))
    return found[::-1]


def _kept(judged: Judged, amounts: list[int]) -> list[Kept]:
    assert judged.sureness is not None  # noqa: S101  (asked by the callers)
    n = len(judged.right)
    order = judged.sureness.argsort(descending=True, stable=True)
    sure, hits = judged.sureness[order], judged.right[order].cumsum(0)
    # the last image as sure as the one at each amount
    ends = torch.searchsorted(-sure, -sure, right=True)
    sizes = sorted({int(ends[k - 1]) for k in amounts if k >= min(n, max(10, n // 20))})
    right, trials = hits[[size - 1 for size in sizes]].double(), torch.tensor(sizes).double()
    low, high = wilson(right, trials)
    return [
        Kept(
            coverage=size / n,
            count=size,
            threshold=float(sure[size - 1]),
            right=float(right[k]) / size,
            low=float(low[k]),
            high=float(high[k]),
        )
        for k, size in enumerate(sizes)
    ]
