"""Which anchors and proposals stand for which boxes, by hand; and what is drawn of them."""

import pytest
import torch
from torch import Tensor

from visto.tasks.proposal_matching import best_match, drawn, matched_anchors, within_ignored


def boxes(*rows: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(rows).reshape(-1, 4)


def test_anchors_by_hand() -> None:
    """A box 10 wide and high; anchors that overlap it by 1, 0.8, 0.5, 0.2 and 0."""
    anchors = boxes((0, 0, 10, 10), (0, 0, 10, 8), (0, 0, 10, 5), (0, 0, 10, 2), (20, 20, 30, 30))
    label, which = matched_anchors(anchors, boxes((0, 0, 10, 10))[None], torch.tensor([[True]]))
    assert label.tolist() == [[1, 1, -1, 0, 0]]
    assert which[0, :2].tolist() == [0, 0]


def test_an_object_that_no_anchor_fits_well_gets_the_best_of_them_and_their_equals() -> None:
    anchors = boxes((0, 0, 10, 4), (0, 6, 10, 10), (0, 0, 10, 3))  # overlaps 0.4, 0.4, 0.3
    label, which = matched_anchors(anchors, boxes((0, 0, 10, 10))[None], torch.tensor([[True]]))
    assert label.tolist() == [[1, 1, -1]] and which[0, :2].tolist() == [0, 0]


def test_the_best_anchor_of_an_object_is_its_own_though_another_overlaps_it_more() -> None:
    """One anchor; the first object overlaps it by 0.5, the second by 0.4, and has no other."""
    anchors = boxes((0, 0, 10, 10), (0, 0, 10, 5))
    label, which = matched_anchors(anchors, boxes((0, 0, 10, 5), (0, 6, 10, 10))[None], torch.tensor([[True, True]]))
    # the first fits the second anchor wholly; the second object overlaps the first anchor by 0.4, and only that one
    assert label.tolist() == [[1, 1]] and which.tolist() == [[1, 0]]


def test_padding_and_images_without_objects_hold_nothing() -> None:
    anchors = boxes((0, 0, 10, 10), (5, 5, 9, 9))
    padded = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    assert matched_anchors(anchors, padded, torch.tensor([[False]]))[0].tolist() == [[0, 0]]
    assert matched_anchors(anchors, torch.zeros(2, 0, 4), torch.zeros(2, 0).bool())[0].tolist() == [[0, 0]] * 2


def test_an_object_far_from_all_anchors_forces_none() -> None:
    label, _ = matched_anchors(boxes((0, 0, 4, 4)), boxes((50, 50, 60, 60))[None], torch.tensor([[True]]))
    assert label.tolist() == [[0]]


def test_proposals_by_hand() -> None:
    proposed = boxes((0, 0, 10, 6), (0, 0, 10, 4), (20, 0, 30, 10))[None]
    overlap, which = best_match(proposed, boxes((20, 0, 30, 10), (0, 0, 10, 10))[None], torch.tensor([[True, True]]))
    assert torch.allclose(overlap, torch.tensor([[0.6, 0.4, 1.0]])) and which.tolist() == [[1, 1, 0]]


def test_more_than_half_in_an_ignored_region() -> None:
    region = boxes((0, 0, 10, 10))[None]
    inside = boxes((0, 0, 4, 4), (8, 0, 12, 4), (9, 0, 12, 4))
    assert within_ignored(inside, region, torch.tensor([[True]])).tolist() == [[True, False, False]]
    assert within_ignored(inside, region, torch.tensor([[False]])).tolist() == [[False, False, False]]
    assert within_ignored(inside, torch.zeros(1, 0, 4), torch.zeros(1, 0).bool()).tolist() == [[False] * 3]


@pytest.mark.parametrize(
    ("good", "bad", "taken"), [(50, 50, (2, 6)), (1, 50, (1, 7)), (0, 50, (0, 8)), (50, 3, (2, 3))]
)
def test_what_is_drawn(good: int, bad: int, taken: tuple[int, int]) -> None:
    """Eight, at most a quarter of them positive: the rest is filled up with negative ones as far as there are any."""
    torch.manual_seed(0)
    positive, negative = torch.zeros(2, 120).bool(), torch.zeros(2, 120).bool()
    positive[:, :good] = True
    negative[:, 60 : 60 + bad] = True
    indices, there = drawn(positive, negative, most=8, share=0.25)
    assert indices.shape == there.shape == (2, 8)
    for row in range(2):
        chosen = indices[row][there[row]].tolist()
        assert len(set(chosen)) == len(chosen) == sum(taken)
        assert int(positive[row, chosen].sum()) == taken[0] and int(negative[row, chosen].sum()) == taken[1]
    assert good < 50 or bad < 50 or not torch.equal(indices[0].sort().values, indices[1].sort().values)  # by chance


def test_fewer_rows_than_are_wanted() -> None:
    indices, there = drawn(torch.tensor([[True, False]]), torch.tensor([[False, True]]), most=8, share=0.5)
    assert sorted(indices[there].tolist()) == [0, 1]
