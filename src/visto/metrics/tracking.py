"""How well things are followed through a video: CLEAR MOT and IDF1.

CLEAR MOT (Bernardin and Stiefelhagen 2008, *Evaluating Multiple Object Tracking Performance*) pairs frame by frame and
counts what is missed, what is made up, and how often a thing goes on under another id. IDF1 (Ristani et al. 2016,
arXiv 1609.01775) pairs whole tracks once, and counts the frames in which the two then agree: how long an id stays.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto.ops.assignment import assigned, assigned_most
from visto.ops.boxes import box_iou
from visto.types import Boxes

Tracked = tuple[Boxes, Tensor]  # the M boxes of one frame and their M ids, int64, none twice

_Costs = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingCounts:
    """What was counted in a sequence; those of several sequences add up.

    ``objects`` and ``found`` are boxes, asked for and given, over all frames; ``id_matches`` those of them that agree
    when each track is paired with at most one. A figure is NaN where there is nothing to divide by.
    """

    objects: int = 0
    found: int = 0
    misses: int = 0
    false_positives: int = 0
    id_switches: int = 0
    id_matches: int = 0

    @property
    def mota(self) -> float:
        """1 − (misses + false positives + id switches) / objects: 1 at best, without end below 0."""
        wrong = self.misses + self.false_positives + self.id_switches
        return 1 - wrong / self.objects if self.objects else math.nan

    @property
    def idf1(self) -> float:
        """2 × agreeing boxes / (boxes asked for + boxes given), 0–1."""
        both = self.objects + self.found
        return 2 * self.id_matches / both if both else math.nan

    def __add__(self, other: Self) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def to_json(self) -> dict[str, float | None]:
        """Figures and counts under the field's names; None for what cannot be told."""
        figures = {"mota": self.mota, "idf1": self.idf1}
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**{name: None if math.isnan(value) else value for name, value in figures.items()}, **counts}


def tracking_counts(truth: Iterable[Tracked], found: Iterable[Tracked], *, gate: float = 0.5) -> TrackingCounts:
    """Count over the frames of one sequence, both in the same order and equally many.

    A pair is of one class and has an IoU of at least ``gate``. A pair of the last frame in which its thing was paired
    is kept while it is allowed (where two claim the same track, the first does); of what is left as many as can be are
    paired, with the most IoU. A thing that is paired with another id than last time is an id switch, however long ago
    that was. Truth that is ``ignored`` is not asked for, and what lies on it and on nothing else is not judged.

    >>> from torch import tensor
    >>> here = Boxes(xyxy=tensor([[0.0, 0.0, 4.0, 4.0]]), labels=tensor([0]))
    >>> counts = tracking_counts([(here, tensor([1]))] * 4, [(here, tensor([i])) for i in (7, 7, 7, 8)])
    >>> counts.id_switches, counts.mota, counts.idf1
    (1, 0.75, 0.75)

    Raises ValueError where the lengths differ, or an id is twice in a frame.
    """
    last: dict[int, int] = {}
    overlaps: Counter[tuple[int, int]] = Counter()
    counts = TrackingCounts()
    for true, given in zip(truth, found, strict=True):
        true, given = _asked(true, given, gate)
        true_ids, given_ids = _ids(true), _ids(given)
        costs = _costs(true[0], given[0], gate)
        overlaps.update((true_ids[i], given_ids[j]) for i, j in np.argwhere(np.isfinite(costs)).tolist())
        pairs = _paired(costs, true_ids, given_ids, last)
        switches = sum(true_ids[i] in last and last[true_ids[i]] != given_ids[j] for i, j in pairs)
        last.update({true_ids[i]: given_ids[j] for i, j in pairs})
        counts += TrackingCounts(
            objects=len(true_ids),
            found=len(given_ids),
            misses=len(true_ids) - len(pairs),
            false_positives=len(given_ids) - len(pairs),
            id_switches=switches,
        )
    return counts + TrackingCounts(id_matches=_agreeing(overlaps))


def _ids(tracked: Tracked) -> list[int]:
    boxes, ids = tracked
    found = [int(number) for number in ids.tolist()]
    if len(found) != len(boxes) or len(set(found)) != len(found):
        raise ValueError(f"ids {found} of {len(boxes)} boxes in one frame, expected one each and none twice")
    return found


def _costs(true: Boxes, given: Boxes, gate: float) -> _Costs:
    """1 - IoU of each pair N×M, infinite where it is not allowed."""
    iou = box_iou(true.xyxy.double(), given.xyxy.double())
    allowed = (iou >= gate) & (true.labels[:, None] == given.labels)
    return np.where(allowed.numpy(), 1 - iou.numpy(), np.inf)


def _paired(costs: _Costs, true_ids: list[int], given_ids: list[int], last: dict[int, int]) -> list[tuple[int, int]]:
    """The pairs of one frame, as rows and columns of ``costs``."""
    columns = {number: j for j, number in enumerate(given_ids)}
    pairs: list[tuple[int, int]] = []
    for i, number in enumerate(true_ids):
        j = columns.get(last[number]) if number in last else None
        if j is not None and np.isfinite(costs[i, j]):
            pairs.append((i, j))
            del columns[given_ids[j]]
    left = costs.copy()
    for i, j in pairs:
        left[i, :] = left[:, j] = np.inf
    rows, others = assigned_most(left)
    return [*pairs, *zip(rows.tolist(), others.tolist(), strict=True)]


def _agreeing(overlaps: Counter[tuple[int, int]]) -> int:
    """The most boxes that agree where each true id is paired with at most one given, and the other way round."""
    if not overlaps:
        return 0
    true_ids, given_ids = (sorted({pair[side] for pair in overlaps}) for side in (0, 1))
    costs = np.zeros((len(true_ids), len(given_ids)))
    for (true, given), many in overlaps.items():
        costs[true_ids.index(true), given_ids.index(given)] = -many
    rows, columns = assigned(costs, 0.0)
    return int(-costs[rows, columns].sum())


def _asked(true: Tracked, given: Tracked, gate: float) -> tuple[Tracked, Tracked]:
    """Without the truth that is ignored, and without what was found on it and on nothing that is asked for."""
    ignored = true[0].ignored
    if ignored is None or not bool(ignored.any()):
        return true, given
    asked = _at(true, ~ignored)
    on_asked = np.isfinite(_costs(asked[0], given[0], gate)).any(axis=0)
    on_ignored = np.isfinite(_costs(_at(true, ignored)[0], given[0], gate)).any(axis=0)
    return asked, _at(given, torch.from_numpy(np.asarray(on_asked | ~on_ignored)))


def _at(tracked: Tracked, rows: Tensor) -> Tracked:
    boxes, ids = tracked
    return Boxes(xyxy=boxes.xyxy[rows], labels=boxes.labels[rows]), ids[rows]
