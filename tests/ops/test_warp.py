"""Regions brought to squares: by hand, and beside torch's own resizing."""

import pytest
import torch
import torch.nn.functional as F

from visto.ops.warp import warped


def test_the_whole_image_is_resized() -> None:
    image = torch.rand(1, 3, 12, 20)
    found = warped(image, torch.tensor([[[0.0, 0.0, 20.0, 12.0]]]), side=24)[0]
    # inside; at the border torch repeats the last pixel, here there is nothing outside
    wanted = F.interpolate(image, (24, 24), mode="bilinear")
    assert torch.allclose(found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1], atol=1e-5)


def test_each_image_has_its_own_regions() -> None:
    images = torch.stack([torch.full((1, 8, 8), 1.0), torch.full((1, 8, 8), 2.0)])
    boxes = torch.tensor([[[1.0, 1.0, 5.0, 5.0]], [[2.0, 2.0, 6.0, 4.0]]])
    found = warped(images, boxes, side=3)
    assert found.shape == (2, 1, 1, 3, 3)
    assert torch.allclose(found[0], torch.tensor(1.0)) and torch.allclose(found[1], torch.tensor(2.0))


@pytest.mark.parametrize("context", [0.0, 0.25])
def test_context_shows_what_lies_around(context: float) -> None:
    """A white box of 4×4 on black: without context it fills the square, with a quarter on each side its middle half."""
    image = torch.zeros(1, 1, 16, 16)
    image[..., 6:10, 6:10] = 1
    found = warped(image, torch.tensor([[[6.0, 6.0, 10.0, 10.0]]]), side=4, context=context)[0, 0, 0]
    wanted = torch.ones(4, 4) if not context else F.pad(torch.ones(2, 2), (1, 1, 1, 1))
    assert torch.equal(found, wanted)
