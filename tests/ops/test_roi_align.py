"""What maps show within boxes: by hand at borders, and beside torch's own sampling, forward and back."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.ops.roi_align import bin_weights, roi_align


def by_sampling(map_nchw: Tensor, boxes_nr4: Tensor, stride: float, bins: int) -> Tensor:
    """The same from torch's grid_sample, each box by itself: the mean of 2×2 samples a bin."""
    out = []
    height, width = map_nchw.shape[2:]
    for image, boxes in zip(map_nchw, boxes_nr4, strict=True):
        for x0, y0, x1, y1 in boxes.tolist():
            steps = (torch.arange(2 * bins, dtype=map_nchw.dtype) + 0.5) / (2 * bins)
            x, y = (x0 + (x1 - x0) * steps) / stride, (y0 + (y1 - y0) * steps) / stride
            grid = torch.stack(torch.meshgrid(2 * x / width - 1, 2 * y / height - 1, indexing="xy"), -1)
            samples = F.grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)
            out.append(F.avg_pool2d(samples, 2)[0].permute(1, 2, 0))
    return torch.stack(out).view(*boxes_nr4.shape[:2], bins, bins, -1)


@given(seed=st.integers(0, 10_000), bins=st.sampled_from([1, 2, 7]), stride=st.sampled_from([1.0, 8.0]))
@settings(deadline=None, max_examples=40)
def test_forward_and_gradient_are_those_of_bilinear_sampling(seed: int, bins: int, stride: float) -> None:
    random = torch.Generator().manual_seed(seed)
    size = torch.tensor([9.0, 6.0]) * stride  # width, height
    low = torch.rand(2, 5, 2, generator=random) * size
    boxes = torch.cat([low, low + torch.rand(2, 5, 2, generator=random) * (size - low)], -1)
    maps = torch.randn(2, 3, 6, 9, generator=random, dtype=torch.float64)
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    found, wanted = roi_align(ours, boxes.double(), stride=stride, bins=bins), by_sampling(theirs, boxes, stride, bins)
    assert torch.allclose(found, wanted, atol=1e-5)
    weights = torch.randn(found.shape, generator=random, dtype=torch.float64)
    (found * weights).sum().backward()  # type: ignore[no-untyped-call]
    (wanted * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None and theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)


def test_a_bin_at_the_border_by_hand() -> None:
    """Points of the map are at 0.5, 1.5, 2.5 pixels. From -3 to 3 in 3 bins the samples are at -2.5, -1.5, … 2.5."""
    weights = bin_weights(torch.tensor([[-3.0]]), torch.tensor([[3.0]]), points=3, stride=1.0, bins=3)[0, 0]
    assert weights.tolist() == [
        [0.0, 0.0, 0.0],  # at -2.5 and -1.5: more than a point outside, both nothing
        [1.0, 0.0, 0.0],  # at -0.5, the edge, and at 0.5
        [0.0, 0.5, 0.5],
    ]


@pytest.mark.parametrize(("at", "wanted"), [(-0.5, [1, 0]), (-0.51, [0, 0]), (2.5, [0, 1]), (2.51, [0, 0])])
def test_how_far_outside_a_sample_still_counts(at: float, wanted: list[float]) -> None:
    """Two points, at 0.5 and 1.5 pixels: a sample counts up to one point before the first and one after the last."""
    box = torch.tensor([[at]])
    assert bin_weights(box, box, points=2, stride=1.0, bins=1)[0, 0, 0].tolist() == wanted


def test_between_two_points_each_counts_by_how_near_it_is() -> None:
    box = torch.tensor([[0.75]])
    assert bin_weights(box, box, points=2, stride=1.0, bins=1)[0, 0, 0].tolist() == [0.75, 0.25]


def test_boxes_that_are_not_asked_for_are_nothing() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 3.0, 4.0]]])
    maps = torch.ones(1, 2, 4, 4)
    found = roi_align(maps, boxes, stride=1, bins=2, which_nr=torch.tensor([[False, True]]))
    assert found[0, 0].eq(0).all() and found[0, 1].eq(1).all()


def test_of_a_slope_the_middle_of_each_bin() -> None:
    """A map that says its own place: rows 10·y + x."""
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    found = roi_align((10 * y + x)[None, None], torch.tensor([[[8.0, 8.0, 40.0, 24.0]]]), stride=8, bins=2)
    # in points: x from 0.5 to 4.5 (middles 1.5, 3.5), y from 0.5 to 2.5 (middles 1, 2)
    assert found.flatten().tolist() == [11.5, 13.5, 21.5, 23.5]
