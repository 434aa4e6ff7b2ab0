"""Ids stay with their things: moving, crossing, hidden, badly seen, coming and going."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from visto.metrics.tracking import Tracked, tracking_counts
from visto.prediction.tracking import Tracker
from visto.types import Boxes

Box = tuple[float, float, float, float]


def _boxes(*rows: Box, scores: list[float] | None = None, labels: list[int] | None = None) -> Boxes:
    count = len(rows)
    return Boxes(
        xyxy=torch.tensor(rows, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        scores=torch.tensor(scores or [0.9] * count),
    )


def _square(x: float, y: float = 0.0, side: float = 40.0) -> Box:
    return x, y, x + side, y + side


def _ids(tracker: Tracker, frames: list[Boxes]) -> list[list[int]]:
    return [tracker.step(boxes)[1].tolist() for boxes in frames]


def test_things_that_move_keep_their_ids() -> None:
    frames = [_boxes(_square(5 * t), _square(400 - 6 * t, 200), _square(100, 3 * t + 300)) for t in range(40)]
    assert _ids(Tracker(), frames) == [[1, 2, 3]] * 40


def test_boxes_come_back_as_they_came_and_in_their_order() -> None:
    tracker = Tracker()
    tracker.step(_boxes(_square(0), _square(200), labels=[4, 2]))
    given = _boxes(_square(201), _square(500), _square(1), labels=[2, 7, 4], scores=[0.8, 0.95, 0.7])
    boxes, ids = tracker.step(given)
    assert ids.dtype == torch.int64
    assert ids.tolist() == [2, 1]  # the one at 500 is new, and not yet believed
    assert torch.equal(boxes.xyxy, given.xyxy[[0, 2]])
    assert boxes.labels.tolist() == [2, 4]
    assert boxes.scores is not None
    assert boxes.scores.tolist() == pytest.approx([0.8, 0.7])


def test_things_that_cross() -> None:
    """They pass at different heights, so that their boxes overlap by half and more on the way."""
    frames = [_boxes(_square(8 * t), _square(320 - 8 * t, 14)) for t in range(41)]
    assert _ids(Tracker(), frames) == [[1, 2]] * 41


def test_half_hidden_things_are_followed_by_their_low_scores() -> None:
    scores = [0.9] * 5 + [0.3] * 8 + [0.9] * 5
    frames = [_boxes(_square(6 * t), scores=[s]) for t, s in enumerate(scores)]
    assert _ids(Tracker(), frames) == [[1]] * 18


def test_hidden_things_come_back_under_their_id() -> None:
    """Ten frames without any box, while they move two widths on."""
    frames = [_boxes() if 15 <= t < 25 else _boxes(_square(8 * t)) for t in range(40)]
    assert _ids(Tracker(), frames) == [[1]] * 15 + [[]] * 10 + [[1]] * 15


@pytest.mark.parametrize(("fps", "gone", "back"), [(30, 30, 1), (30, 31, 2), (10, 10, 1), (10, 11, 2)])
def test_a_second_out_of_sight_is_remembered(fps: float, gone: int, back: int) -> None:
    """Of a thing that rests: a second's frames without it are forgiven, one more is not."""
    still = _boxes(_square(0))
    tracker = Tracker(fps)
    ids = _ids(tracker, [still] * 3 + [_boxes()] * gone + [still] * 2)
    assert ids[-1] == [back]


def test_low_scores_start_nothing() -> None:
    assert _ids(Tracker(), [_boxes(_square(0), scores=[0.65])] * 5) == [[]] * 5
    assert _ids(Tracker(), [_boxes(_square(0), scores=[0.3])] * 5) == [[]] * 5


def test_a_box_seen_once_is_not_believed() -> None:
    thing, ghost = _square(0), _square(300, 300)
    frames = [_boxes(thing), _boxes(thing, ghost), _boxes(thing), _boxes(thing, ghost), _boxes(thing, ghost)]
    assert _ids(Tracker(), frames) == [[1], [1], [1], [1], [1, 3]]  # 2 was the ghost's first


def test_classes_never_mix() -> None:
    frames = [_boxes(_square(t), labels=[0 if t < 5 else 1]) for t in range(10)]
    assert _ids(Tracker(), frames) == [[1]] * 5 + [[]] + [[2]] * 4
    both = [_boxes(_square(t), _square(t), labels=[0, 1]) for t in range(10)]
    assert _ids(Tracker(), both) == [[1, 2]] * 10


def test_the_detectors_threshold_moves_all_others() -> None:
    """A detector with scores half as high, and half its threshold, is followed as well."""
    scores = [0.45] * 5 + [0.15] * 5 + [0.45] * 5
    frames = [_boxes(_square(5 * t), scores=[s]) for t, s in enumerate(scores)]
    assert _ids(Tracker(high=0.3), frames) == [[1]] * 15
    assert _ids(Tracker(high=0.6), frames) == [[]] * 15
    assert _ids(Tracker(high=1.0), [_boxes(_square(0), scores=[1.0])] * 2) == [[1]] * 2


def _scene(seed: int, frames: int = 120, count: int = 8) -> tuple[list[Tracked], list[Boxes]]:
    """Truth, and what a detector would see: noise, low scores while hidden, misses, boxes out of nothing."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 600, (count, 2)), rng.normal(0, 3, (count, 2))
    sides = rng.uniform(30, 80, (count, 2))
    truth, seen = [], []
    hidden = np.zeros(count, int)
    for _ in range(frames):
        speed = np.where((place < 0) | (place > 600), -speed, speed) + rng.normal(0, 0.1, (count, 2))
        place = place + speed
        xyxy = np.concatenate([place, place + sides], 1)
        hidden = np.where((hidden == 0) & (rng.random(count) < 0.02), 10, np.maximum(hidden - 1, 0))
        scores = np.where(hidden > 0, rng.uniform(0.15, 0.5, count), rng.uniform(0.75, 0.99, count))
        found = rng.random(count) < np.where(hidden > 0, 0.7, 0.98)
        ghosts = rng.uniform(0, 600, (int(rng.random() < 0.3), 2))
        given = np.concatenate(
            [(xyxy + rng.normal(0, 1.5, xyxy.shape))[found], np.concatenate([ghosts, ghosts + 50], 1)]
        )
        marks = np.concatenate([scores[found], rng.uniform(0.1, 0.9, len(ghosts))])
        truth.append((_boxes(*map(tuple, xyxy)), torch.arange(count)))
        seen.append(_boxes(*map(tuple, given), scores=marks.tolist()))
    return truth, seen


def _alone(seen: list[Boxes]) -> list[Tracked]:
    """What following by overlap with the last frame alone would give: each box takes the nearest box's id."""
    last: list[tuple[Tensor, int]] = []
    fresh, found = 0, []
    for boxes in seen:
        strong = boxes.xyxy[boxes.scores >= 0.6] if boxes.scores is not None else boxes.xyxy
        now: list[tuple[Tensor, int]] = []
        for box in strong:
            near = [(float((box - old).abs().max()), i) for old, i in last if (box - old).abs().max() < 30]
            near = [pair for pair in near if pair[1] not in {i for _, i in now}]
            fresh += not near
            now.append((box, min(near)[1] if near else fresh))
        last = now
        found.append((_boxes(*map(tuple, strong.tolist())), torch.tensor([i for _, i in now], dtype=torch.int64)))
    return found


def test_busy_scenes_are_followed_well() -> None:
    scores = []
    for seed in range(5):
        truth, seen = _scene(seed)
        tracker = Tracker()
        counts = tracking_counts(truth, [tracker.step(boxes) for boxes in seen])
        simple = tracking_counts(truth, _alone(seen))
        assert counts.idf1 > simple.idf1 + 0.1
        assert counts.id_switches < simple.id_switches
        scores.append((counts.mota, counts.idf1))
    assert np.mean(scores, axis=0).min() > 0.85


def test_the_same_boxes_give_the_same_ids() -> None:
    _, seen = _scene(7)
    assert _ids(Tracker(), seen) == _ids(Tracker(), seen)


def test_ids_are_never_twice_and_inputs_are_not_changed() -> None:
    _, seen = _scene(8)
    before = [boxes.xyxy.clone() for boxes in seen]
    for ids in _ids(Tracker(), seen):
        assert len(set(ids)) == len(ids)
        assert min(ids, default=1) >= 1
    assert all(torch.equal(old, boxes.xyxy) for old, boxes in zip(before, seen, strict=True))


def test_boxes_without_size_and_frames_without_boxes() -> None:
    flat = _boxes((5.0, 5.0, 5.0, 5.0), (1.0, 1.0, 9.0, 1.0))
    tracker = Tracker()
    for boxes in (_boxes(), flat, flat, _boxes(), flat):
        found, ids = tracker.step(boxes)
        assert len(found) == len(ids)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tracker(0),
        lambda: Tracker(float("nan")),
        lambda: Tracker(high=0.0),
        lambda: Tracker(high=1.5),
        lambda: Tracker(low=-0.1),
        lambda: Tracker(keep=-1),
        lambda: Tracker().step(Boxes(xyxy=torch.zeros(1, 4), labels=torch.zeros(1, dtype=torch.int64))),
    ],
)
def test_what_cannot_be(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected|scores"):
        make()
