"""MOTA and IDF1 by hand, and against py-motmetrics on made sequences."""

import math
import warnings

import motmetrics
import numpy as np
import pytest
import torch

from visto.metrics.tracking import Tracked, TrackingCounts, tracking_counts
from visto.types import Boxes


def _at(*things: tuple[int, float], label: int = 0, ignored: bool = False) -> Tracked:
    """Boxes of 10×10 pixels, each (id, left edge)."""
    xyxy = torch.tensor([[x, 0.0, x + 10, 10.0] for _, x in things]).reshape(-1, 4)
    labels = torch.full((len(things),), label)
    marks = torch.ones(len(things), dtype=torch.bool) if ignored else None
    return Boxes(xyxy=xyxy, labels=labels, ignored=marks), torch.tensor([i for i, _ in things], dtype=torch.int64)


def test_by_hand() -> None:
    """Two things, four frames: one switch, one miss, two false positives."""
    truth = [_at((1, 0), (2, 50)), _at((1, 1), (2, 50)), _at((1, 2), (2, 50)), _at((1, 3))]
    found = [
        _at((10, 0), (20, 50)),
        _at((10, 1), (30, 80)),  # 2 is missed, 30 made up
        _at((10, 2), (21, 51)),  # 2 goes on as 21
        _at((10, 3), (30, 90)),
    ]
    counts = tracking_counts(truth, found)
    assert counts == TrackingCounts(
        objects=7, found=8, misses=1, false_positives=2, id_switches=1, id_matches=5
    )  # 1 with 10 in four frames, 2 with 20 or 21 in one
    assert counts.mota == pytest.approx(1 - 4 / 7)
    assert counts.idf1 == pytest.approx(10 / 15)
    assert counts.to_json()["id_switches"] == 1


def test_a_pair_is_kept_though_another_fits_better() -> None:
    truth = [_at((1, 0)), _at((1, 0))]
    found = [_at((10, 2)), _at((10, 3), (11, 0))]
    counts = tracking_counts(truth, found)
    assert (counts.id_switches, counts.false_positives) == (0, 1)


def test_another_class_is_another_thing() -> None:
    counts = tracking_counts([_at((1, 0))], [_at((1, 0), label=1)])
    assert (counts.misses, counts.false_positives, counts.id_matches) == (1, 1, 0)
    assert counts.mota == -1


def test_what_is_ignored_is_neither_asked_for_nor_wrong() -> None:
    counts = tracking_counts([_at((1, 0), ignored=True)] * 2, [_at((9, 1)), _at((9, 40))])
    assert counts == TrackingCounts(objects=0, found=1, misses=0, false_positives=1)
    assert math.isnan(counts.mota)
    assert counts.idf1 == 0
    assert counts.to_json()["mota"] is None


def test_nothing() -> None:
    assert tracking_counts([], []) == TrackingCounts()
    assert math.isnan(TrackingCounts().idf1)
    empty = _at()
    assert tracking_counts([empty, _at((1, 0))], [empty, empty]).misses == 1


def test_what_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="twice"):
        tracking_counts([_at((1, 0), (1, 50))], [_at()])
    with pytest.raises(ValueError, match="argument 2 is"):
        tracking_counts([_at()], [])


def _made(seed: int, frames: int = 25) -> tuple[list[Tracked], list[Tracked]]:
    """Things that wander, come and go; found with noise, gaps, swaps of ids and boxes out of nothing."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 7))
    place, speed = rng.uniform(0, 60, (count, 2)), rng.normal(0, 2, (count, 2))
    names = 100 + np.arange(count)
    truth, found = [], []
    for _ in range(frames):
        place = place + speed
        there = rng.random(count) < 0.9
        boxes = np.concatenate([place, place + 20], 1)
        truth.append(_tracked(boxes[there], np.arange(count)[there], rng))
        if rng.random() < 0.2:
            names = names.copy()
            names[int(rng.integers(count))] = int(rng.integers(100, 100 + 2 * count))
        seen = there & (rng.random(count) < 0.85)
        seen &= [names[i] not in names[:i] for i in range(count)]
        extra = rng.uniform(0, 60, (int(rng.integers(0, 3)), 2))
        shaken = boxes[seen] + rng.normal(0, 2.5, (int(seen.sum()), 4))
        given = np.concatenate([shaken, np.concatenate([extra, extra + 20], 1)])
        found.append(_tracked(given, np.concatenate([names[seen], 500 + np.arange(len(extra))]), rng))
    return truth, found


def _tracked(xyxy: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> Tracked:
    order = rng.permutation(len(ids))
    boxes = torch.from_numpy(xyxy[order]).float()
    return Boxes(xyxy=boxes, labels=torch.zeros(len(ids), dtype=torch.int64)), torch.from_numpy(ids[order])


def _distance(a: list[float], b: list[float]) -> float:
    """1 - IoU, NaN above 0.5: motmetrics' own function needs a NumPy before 2."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    iou = shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
    return 1 - iou if iou >= 0.5 else math.nan


def _by_motmetrics(truth: list[Tracked], found: list[Tracked]) -> dict[str, float]:
    collected = motmetrics.MOTAccumulator(auto_id=True)
    for (true, true_ids), (given, given_ids) in zip(truth, found, strict=True):
        costs = [[_distance(a, b) for b in given.xyxy.tolist()] for a in true.xyxy.tolist()]
        collected.update(true_ids.tolist(), given_ids.tolist(), np.array(costs))
    names = ["mota", "idf1", "num_misses", "num_false_positives", "num_switches", "idtp", "num_objects"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        summary = motmetrics.metrics.create().compute(collected, metrics=names, return_dataframe=False)
    return {name: float(summary[name]) for name in names}


def test_as_motmetrics_counts() -> None:
    totals, switches = TrackingCounts(), 0
    for seed in range(40):
        truth, found = _made(seed)
        counts, wanted = tracking_counts(truth, found), _by_motmetrics(truth, found)
        assert counts.mota == pytest.approx(wanted["mota"], abs=1e-6)
        assert counts.idf1 == pytest.approx(wanted["idf1"], abs=1e-6)
        assert counts.misses == wanted["num_misses"]
        assert counts.false_positives == wanted["num_false_positives"]
        assert counts.id_switches == wanted["num_switches"]
        assert counts.id_matches == wanted["idtp"]
        assert counts.objects == wanted["num_objects"]
        totals, switches = totals + counts, switches + counts.id_switches
    assert switches > 50  # the sequences are not easy
    assert totals.id_switches == switches
