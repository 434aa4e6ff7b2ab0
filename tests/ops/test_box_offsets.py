"""Boxes as offsets from others: there and back, and by hand."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from visto.ops.box_offsets import box_offsets, moved_boxes

_side = st.floats(1, 500, width=32)
_place = st.floats(-200, 600, width=32)


@given(_place, _place, _side, _side, _place, _place, _side, _side)
def test_there_and_back(x: float, y: float, w: float, h: float, u: float, v: float, r: float, s: float) -> None:
    box, reference = (
        torch.tensor([a, b, a + c, b + d], dtype=torch.float64) for a, b, c, d in ((x, y, w, h), (u, v, r, s))
    )
    if max(w / r, h / s) < 1000 / 16:  # a box may grow so far
        assert torch.allclose(moved_boxes(box_offsets(box, reference), reference), box, atol=1e-6)


def test_by_hand() -> None:
    """From 10×20 around (5, 10) to 20×10 around (10, 5): half a width right, a quarter of a height up."""
    offsets = box_offsets(torch.tensor([0.0, 0.0, 20.0, 10.0]), torch.tensor([0.0, 0.0, 10.0, 20.0]))
    assert torch.allclose(offsets, torch.tensor([0.5, -0.25, math.log(2), -math.log(2)]))


def test_a_wild_answer_stays_finite() -> None:
    grown = moved_boxes(torch.tensor([0.0, 0.0, 500.0, 500.0]), torch.tensor([0.0, 0.0, 16.0, 16.0]))
    assert torch.allclose(grown[2:] - grown[:2], torch.tensor([1000.0, 1000.0]))


def test_a_box_without_sides_says_nothing_infinite() -> None:
    box = torch.zeros(4)
    assert box_offsets(box, box).tolist() == [0, 0, 0, 0]
    assert box_offsets(torch.tensor([0.0, 0.0, 5.0, 5.0]), box).isfinite().all()
