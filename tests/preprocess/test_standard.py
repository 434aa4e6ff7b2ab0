"""Fitting and normalising, against hand-computed values and Pillow."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from visto.errors import UsageError
from visto.preprocess import Fit, Normalise, Standard
from visto.types import Size


def test_fit_leaves_a_fitting_image_alone() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    assert Fit(size=Size(height=5, width=7), channels=3)(images) is images


def test_grey_is_luma() -> None:
    red_green_blue = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
    images = red_green_blue.T.reshape(1, 3, 1, 3)
    assert Fit(size=Size(height=1, width=3), channels=1)(images).flatten().tolist() == [76, 150, 29]


def test_colour_from_grey_repeats() -> None:
    images = torch.randint(0, 256, (1, 1, 4, 4), dtype=torch.uint8)
    fitted = Fit(size=Size(height=4, width=4), channels=3)(images)
    assert all(torch.equal(fitted[:, k], images[:, 0]) for k in range(3))


@pytest.mark.parametrize("size", [(16, 16), (40, 24), (7, 90)])
def test_resize_is_that_of_pillow(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    ours = Fit(size=Size(height=size[0], width=size[1]), channels=3)(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    theirs = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(ours[0].permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1


def test_a_batch_is_fitted_like_its_images() -> None:
    images = torch.randint(0, 256, (3, 3, 20, 31), dtype=torch.uint8)
    fit = Fit(size=Size(height=8, width=8), channels=1)
    assert torch.equal(fit(images), torch.cat([fit(image[None]) for image in images]))


def test_the_view_undoes_the_resize() -> None:
    view = Fit(size=Size(height=10, width=20), channels=1).view(Size(height=50, width=40))
    corner = view.to_original @ torch.tensor([20.0, 10.0, 1.0])
    assert corner.tolist() == [40.0, 50.0]


def test_normalise_by_hand() -> None:
    normalise = Normalise(mean=[0.5], std=[0.25])
    got = normalise(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)).flatten()
    assert torch.allclose(got, torch.tensor([-2.0, 2.0]))


def test_a_mean_for_each_channel_is_needed() -> None:
    with pytest.raises(UsageError, match="3 channels"):
        Standard(size=[4, 4], channels=3, mean=[0.5], std=[0.5])


def test_the_middle_is_taken_undistorted_and_a_strip_takes_no_memory() -> None:
    fit = Fit(size=Size(height=4, width=4), channels=1, crop="middle")
    image = torch.zeros(1, 1, 4, 12, dtype=torch.uint8)
    image[..., 4:8] = torch.arange(16, dtype=torch.uint8).reshape(4, 4)
    assert torch.equal(fit(image), image[..., 4:8])
    view = fit.view(Size(height=4, width=12))
    assert view.to_original.tolist() == [[1.0, 0.0, 4.0], [0.0, 1.0, 0.0]]
    for shape in ((1, 60_000), (60_000, 1)):
        strip = torch.full((1, 3, *shape), 7, dtype=torch.uint8)
        out = Fit(size=Size(height=224, width=224), channels=3, crop="middle")(strip)
        assert tuple(out.shape) == (1, 3, 224, 224) and bool((out == 7).all())


@pytest.mark.parametrize("size", [(9, 14), (40, 31)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_resize_in_whole_numbers_is_that_in_floats(size: tuple[int, int], layout: torch.memory_format) -> None:
    random = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (4, 3, 24, 21), dtype=torch.uint8, generator=random)
    found = Fit(size=Size(height=size[0], width=size[1]), channels=3)(images.contiguous(memory_format=layout))
    exact = F.interpolate(images.double(), size=size, mode="bilinear", antialias=True)
    assert (found.double() - exact).abs().max() <= 1


def test_normalise_is_the_same_in_both_layouts() -> None:
    images = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8)
    normalise = Normalise(mean=[0.1, 0.5, 0.7], std=[0.2, 0.3, 0.4])
    found = normalise(images.contiguous(memory_format=torch.channels_last))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, normalise(images))
    kept = images.float()
    assert torch.equal(normalise(kept), found) and torch.equal(kept, images.float())
