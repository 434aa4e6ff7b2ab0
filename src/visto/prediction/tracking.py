"""One number for one thing through a video: ByteTrack (Zhang et al. 2022, arXiv 2110.06864).

Boxes of a high score are matched to where the known things should be now; what is then still missing may be found
among the boxes of a low score, which are things half hidden as often as they are mistakes. Only boxes of a high score
start a track, and it counts when it is seen again in the next frame. A track is of one class.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto.ops.assignment import assigned
from visto.ops.boxes import box_iou
from visto.ops.kalman import Floats, corners, measured, predicted, started, updated
from visto.types import Boxes

Whole = NDArray[np.int64]

# dearest costs of a pair, as in the authors' code: 1 - IoU × score first, 1 - IoU second, 1 - IoU × score of a new one
_FIRST, _SECOND, _NEW = 0.8, 0.5, 0.7
_TWICE = 0.15  # a lost track nearer than this (1 - IoU) to one that is followed is the same thing
_USUAL = 0.6  # the authors' threshold, for which the costs above were chosen
_STEP = 0.1  # a track starts this far above the threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tracks:
    """N tracks as columns; ``born`` and ``seen`` are the numbers of the first and the last frame with their box."""

    means: Floats
    covariances: Floats
    ids: Whole
    labels: Whole
    born: Whole
    seen: Whole
    confirmed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: NDArray[np.bool_]) -> Self:
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def and_(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]
        return type(self)(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


class Tracker:
    """Follows boxes through one video: ``step`` with the boxes of each frame, in order.

    ``fps`` is how many frames a second ``step`` sees; a thing out of sight is remembered for ``keep`` seconds (the
    paper: 30 frames at 30 a second). ``high`` is the score from which a box is taken for a thing, best the threshold
    of the detector; the authors' is 0.6. Boxes below ``low`` are passed over. For another ``high`` than 0.6 the
    scores that dim the overlap are scaled with it (to at most 1), so that a box just above the threshold needs the
    same overlap as in the paper. Ids count from 1.

    Departs from the authors' code: tracks seen once are moved on by the filter as all others are, what is given back
    is the box as it was detected and not as it was smoothed, and classes never mix.
    """

    def __init__(self, fps: float = 30.0, *, high: float = 0.6, low: float = 0.1, keep: float = 1.0) -> None:
        if not (0 < fps < float("inf") and 0 <= keep < float("inf")):
            raise ValueError(f"{fps} frames a second, kept {keep} s: expected above 0, and 0 or more")
        if not (0 < high <= 1 and 0 <= low <= 1):
            raise ValueError(f"thresholds of {high} and {low}, expected scores in 0–1, the high one above 0")
        self._keep = int(fps * keep + 1e-9)
        self._high, self._low = high, min(low, high)
        self._new = min(high + _STEP, (1 + high) / 2)  # scores end at 1
        self._frame = 0
        self._next = 1
        self._tracks = _begun(np.zeros((0, 4)), np.zeros(0, np.int64), first_id=1, frame=0)

    def step(self, boxes: Boxes) -> tuple[Boxes, Tensor]:
        """Those of the next frame's M boxes (with scores) that belong to a track, as they came and in their order.

        And the tracks' ids, int64. Give it all boxes down to a score of ``low``, after non-maximum suppression.
        Raises ValueError where they have no scores.
        """
        if boxes.scores is None:
            raise ValueError("boxes without scores cannot be tracked")
        self._frame += 1
        scores, labels = boxes.scores.double().numpy(), boxes.labels.numpy()
        xyxy = boxes.xyxy.double().numpy()
        owners = self._matched(xyxy, labels, scores)
        self._update(owners, xyxy)
        self._forget(owners)
        fresh = np.flatnonzero((owners < 0) & (scores >= self._new))
        owners[fresh] = len(self._tracks) + np.arange(len(fresh))
        begun = _begun(xyxy[fresh], labels[fresh], first_id=self._next, frame=self._frame)
        self._tracks, self._next = self._tracks.and_(begun), self._next + len(fresh)
        return self._result(boxes, owners)

    def _matched(self, xyxy: Floats, labels: Whole, scores: Floats) -> Whole:
        """The row of the track that each box belongs to, -1 for none; moves the tracks on to this frame."""
        tracks = self._tracks
        means, covariances = tracks.means, tracks.covariances
        resting = means.copy()
        resting[tracks.seen < self._frame - 1, 7] = 0  # what is out of sight no longer grows or shrinks
        means, covariances = predicted(resting, covariances)
        self._tracks = tracks = replace(tracks, means=means, covariances=covariances)
        iou = box_iou(torch.from_numpy(corners(means)), torch.from_numpy(xyxy)).numpy()
        iou = np.where(tracks.labels[:, None] == labels, iou, 0.0)
        owners = np.full(len(labels), -1, np.int64)

        def match(some: NDArray[np.bool_], those: NDArray[np.bool_], similar: Floats, limit: float) -> None:
            rows, columns = np.flatnonzero(some), np.flatnonzero(those & (owners < 0))
            chosen, found = assigned(1 - similar[np.ix_(rows, columns)], limit)
            owners[columns[found]] = rows[chosen]

        weighed = iou * np.minimum(scores * (_USUAL / self._high), 1)
        high, low = scores >= self._high, (scores >= self._low) & (scores < self._high)
        match(tracks.confirmed, high, weighed, _FIRST)
        in_sight = tracks.confirmed & (tracks.seen == self._frame - 1)
        in_sight[owners[owners >= 0]] = False
        match(in_sight, low, iou, _SECOND)
        match(~tracks.confirmed, high, weighed, _NEW)
        return owners

    def _update(self, owners: Whole, xyxy: Floats) -> None:
        """Correct the tracks by their boxes of this frame."""
        found = np.flatnonzero(owners >= 0)
        rows = owners[found]
        tracks = self._tracks
        means, covariances = tracks.means.copy(), tracks.covariances.copy()
        means[rows], covariances[rows] = updated(means[rows], covariances[rows], measured(xyxy[found]))
        seen, confirmed = tracks.seen.copy(), tracks.confirmed.copy()
        seen[rows], confirmed[rows] = self._frame, True
        self._tracks = replace(tracks, means=means, covariances=covariances, seen=seen, confirmed=confirmed)

    def _forget(self, owners: Whole) -> None:
        """Drop the tracks that were seen once, long ago, or twice; ``owners`` keep to those that stay."""
        tracks = self._tracks
        in_sight = tracks.seen == self._frame
        stay = in_sight | (tracks.confirmed & (self._frame - tracks.seen <= self._keep))
        shown, lost = np.flatnonzero(stay & in_sight), np.flatnonzero(stay & ~in_sight)
        places = torch.from_numpy(corners(tracks.means))
        near = 1 - box_iou(places[shown], places[lost]).numpy() < _TWICE
        near &= tracks.labels[shown][:, None] == tracks.labels[lost]
        ages = tracks.seen - tracks.born
        older = ages[shown][:, None] > ages[lost]  # of two that are the same thing the longer known stays
        stay[lost[(near & older).any(axis=0)]] = False
        stay[shown[(near & ~older).any(axis=1)]] = False
        moved = np.where(stay, np.cumsum(stay) - 1, -2)  # -2: its box belongs to nothing, and starts nothing
        owners[owners >= 0] = moved[owners[owners >= 0]]
        self._tracks = tracks.at(stay)

    def _result(self, boxes: Boxes, owners: Whole) -> tuple[Boxes, Tensor]:
        known = owners >= 0
        known[known] = self._tracks.confirmed[owners[known]]
        rows = torch.from_numpy(np.flatnonzero(known))
        assert boxes.scores is not None  # noqa: S101
        kept = Boxes(xyxy=boxes.xyxy[rows], labels=boxes.labels[rows], scores=boxes.scores[rows])
        return kept, torch.from_numpy(self._tracks.ids[owners[known]])


def _begun(xyxy: Floats, labels: Whole, *, first_id: int, frame: int) -> _Tracks:
    """New tracks of boxes M×4; those of the first frame count at once."""
    means, covariances = started(measured(xyxy))
    many = len(labels)
    return _Tracks(
        means=means,
        covariances=covariances,
        ids=np.arange(first_id, first_id + many, dtype=np.int64),
        labels=labels.astype(np.int64),
        born=np.full(many, frame, np.int64),
        seen=np.full(many, frame, np.int64),
        confirmed=np.full(many, frame == 1),
    )
