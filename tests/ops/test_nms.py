"""Non-maximum suppression beside a naive one that takes box after box."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.ops.boxes import box_iou
from visto.ops.nms import nms, suppress

THRESHOLD = 0.6180339887  # no ratio of small whole numbers


def naive(boxes_k4: Tensor, labels_k: Tensor, threshold: float) -> list[int]:
    """The places of the boxes that stay, best first."""
    left, kept = list(range(len(boxes_k4))), []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlaps = box_iou(boxes_k4[best : best + 1].double(), boxes_k4.double())[0]
        left = [j for j in left if labels_k[j] != labels_k[best] or overlaps[j] <= threshold]
    return kept


def some_boxes(k: int, seed: int, spread: int, side: int = 12) -> tuple[Tensor, Tensor]:
    """Boxes K×4 with whole corners, and labels K of two classes."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(0, spread, (k, 2), generator=generator).float()
    sides = torch.randint(0, side, (k, 2), generator=generator).float()
    return torch.cat([low, low + sides], 1), torch.randint(0, 2, (k,), generator=generator)


@given(k=st.integers(1, 60), seed=st.integers(0, 10_000), spread=st.sampled_from([1, 3, 8, 30]))
@settings(deadline=None, max_examples=150)
def test_the_boxes_that_stay_are_those_of_the_naive_way(k: int, seed: int, spread: int) -> None:
    first, second = some_boxes(k, seed, spread), some_boxes(k, seed + 1, spread)
    kept = suppress(torch.stack([first[0], second[0]]), torch.stack([first[1], second[1]]), THRESHOLD)
    for row, (boxes, labels) in zip(kept, (first, second), strict=True):
        assert row.nonzero().flatten().tolist() == naive(boxes, labels, THRESHOLD)


def test_a_chain_as_long_as_there_are_boxes() -> None:
    """Each box is over the next: every second goes, and the last is known only after all before it."""
    x = torch.arange(200.0)[:, None]
    boxes = torch.cat([x, torch.zeros(200, 1), x + 5, torch.ones(200, 1)], 1)
    kept = suppress(boxes[None], torch.zeros(1, 200), 0.65)[0]
    assert kept.tolist() == [index % 2 == 0 for index in range(200)]


def test_images_of_a_large_batch_do_not_touch_each_other() -> None:
    made = [some_boxes(300, seed, 40) for seed in range(14)]
    boxes, labels = torch.stack([b for b, _ in made]), torch.stack([k for _, k in made])
    kept = suppress(boxes, labels, THRESHOLD)
    for row, one, its in zip(kept, boxes, labels, strict=True):
        assert torch.equal(row, suppress(one[None], its[None], THRESHOLD)[0])


@given(
    places=st.integers(1, 40),
    classes=st.integers(1, 4),
    candidates=st.integers(1, 60),
    most=st.integers(1, 50),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=150)
def test_the_whole_beside_the_naive_way(places: int, classes: int, candidates: int, most: int, seed: int) -> None:
    boxes, _ = some_boxes(places, seed, 8)
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.randperm(places * classes, generator=generator).float() / (places * classes)).view(places, classes)
    order = scores.flatten().argsort(descending=True)[:candidates]
    order = order[scores.flatten()[order] > 0.1]
    pairs = [order[i] for i in naive(boxes[order // classes], order % classes, THRESHOLD)][:most]
    found = nms(boxes[None], scores[None], threshold=THRESHOLD, most=most, candidates=candidates, least=0.1)
    assert [tuple(one.shape) for one in found] == [(1, most, 4), (1, most), (1, most)]
    assert found[2].dtype == torch.int64
    n = len(pairs)
    assert found[2][0, :n].tolist() == [int(pair) % classes for pair in pairs]
    assert found[1][0, :n].tolist() == [float(scores.flatten()[pair]) for pair in pairs]
    assert found[0][0, :n].tolist() == [boxes[pair // classes].tolist() for pair in pairs]
    assert all(not one[0, n:].any() for one in found)


def test_a_place_may_answer_for_two_classes() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0]]])
    scores = torch.tensor([[[0.9, 0.8], [0.7, 0.1]]])
    _, kept, labels = nms(boxes, scores, threshold=0.5, most=3, candidates=4)
    assert torch.equal(kept[0], torch.tensor([0.9, 0.8, 0.0]))
    assert labels[0].tolist() == [0, 1, 0]


def test_a_place_may_have_a_box_for_each_class() -> None:
    """Two places, two classes: each answer has the box of its own class."""
    boxes = torch.arange(4.0).view(1, 2, 2, 1) * 100 + torch.tensor([0.0, 0.0, 10.0, 10.0])
    scores = torch.tensor([[[0.9, 0.2], [0.1, 0.8]]])
    found, kept, labels = nms(boxes, scores, threshold=0.5, most=4, candidates=4)
    assert torch.allclose(kept, torch.tensor([[0.9, 0.8, 0.2, 0.1]])) and labels.tolist() == [[0, 1, 1, 0]]
    assert found[0, :, 0].tolist() == [0, 300, 100, 200]
