"""Small cases that can be worked out by hand."""

import doctest
import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from visto.errors import DataError
from visto.ops.canny import canny
from visto.ops.clahe import clahe
from visto.ops.colour import gray, gray_world, saturation, white_patch
from visto.ops.edges import sobel
from visto.ops.equalize import equalize
from visto.ops.histogram import histograms, looked_up
from visto.ops.median import median
from visto.ops.planes import filtered
from visto.ops.smooth import blur, gaussian, sharpen
from visto.ops.threshold import adaptive, otsu
from visto.ops.tone import contrast


def _grey(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.uint8)[None, None]


def _pixels(*pixels: tuple[int, int, int]) -> Tensor:
    """An image one pixel high."""
    return torch.tensor(pixels, dtype=torch.uint8).T[None, :, None]


def _read(images: Tensor) -> list[tuple[int, ...]]:
    return [tuple(pixel) for pixel in images[0, :, 0].T.tolist()]


@pytest.mark.parametrize("name", ["planes", "colour", "histogram", "equalize", "tone", "smooth", "threshold", "clahe"])
def test_the_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"visto.ops.{name}"))
    assert found.attempted
    assert not found.failed


def test_gray_keeps_three_channels() -> None:
    assert _read(gray(_pixels((255, 0, 0), (10, 10, 10)))) == [(76, 76, 76), (10, 10, 10)]


def test_saturation() -> None:
    assert _read(saturation(_pixels((200, 100, 100)), 2)) == [(255, 70, 70)]  # luminance 130


def test_gray_world() -> None:
    # means 20, 40, 60: all come to 40
    assert _read(gray_world(_pixels((10, 40, 90), (30, 40, 30)))) == [(20, 40, 60), (60, 40, 20)]


def test_white_patch() -> None:
    assert _read(white_patch(_pixels((50, 100, 200), (25, 100, 10)), 100)) == [(200, 200, 200), (100, 200, 10)]
    # one glint in ten pixels of red is not its white at 90 %
    images = _pixels(*[(50, 100, 100)] * 9, (250, 100, 100))
    assert _read(white_patch(images, 90))[0] == (100, 100, 100)


def test_a_channel_without_light_stays_dark() -> None:
    assert _read(gray_world(_pixels((0, 60, 90)))) == [(0, 50, 50)]
    assert _read(white_patch(_pixels((0, 60, 90)), 99)) == [(0, 90, 90)]


def test_contrast_turns_on_the_mean() -> None:
    assert contrast(_grey([100, 110, 120]), 2)[0, 0, 0].tolist() == [90, 110, 130]


def test_equalize() -> None:
    assert equalize(_grey([5, 5, 6, 7, 7]))[0, 0, 0].tolist() == [0, 0, 85, 255, 255]


def test_equalize_keeps_black_ground_black() -> None:
    images = torch.zeros(1, 1, 10, 10, dtype=torch.uint8)
    images[0, 0, 5, 5] = 3
    found = equalize(images)
    assert found.sum() == 255 == found[0, 0, 5, 5]


def test_median() -> None:
    speck = torch.full((1, 1, 5, 5), 9, dtype=torch.uint8)
    speck[0, 0, 2, 2] = 255
    assert bool((median(speck, 3) == 9).all())
    # the corner's window, mirrored: 1 1 2 / 1 1 2 / 4 4 5
    assert median(_grey([1, 2, 3], [4, 5, 6], [7, 8, 9]), 3)[0, 0, 0, 0] == 2


@pytest.mark.parametrize("size", [-1, 0, 2, 17])
def test_a_median_needs_an_odd_window(size: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        median(_grey([1]), size)


def test_a_gaussian_sums_to_one_and_spreads_a_point() -> None:
    for sigma in (0.1, 1, 7.5):
        half = gaussian(sigma)
        assert half[0] + 2 * sum(half[1:]) == pytest.approx(1)
    point = torch.zeros(1, 1, 11, 11, dtype=torch.uint8)
    point[0, 0, 5, 5] = 255
    spread, weights = blur(point, 1)[0, 0], gaussian(1)
    assert spread[5, 6] == round(255 * weights[0] * weights[1])
    assert torch.equal(spread, spread.T) and torch.equal(spread, spread.flip(0))


def test_sharpen_overshoots_at_an_edge() -> None:
    step = _grey([100] * 8 + [150] * 8).expand(1, 1, 8, 16)
    row = sharpen(step, 1, 1)[0, 0, 4]
    assert row[7] < 100 and row[8] > 150 and row[0] == 100 and row[15] == 150


def test_otsu() -> None:
    assert otsu(_grey([10, 12, 200, 210]))[0, 0, 0].tolist() == [0, 0, 255, 255]


def test_adaptive_follows_the_light() -> None:
    light = torch.arange(0, 250, 10).expand(9, 25).clone()
    light[4, ::4] += 9
    found = adaptive(light.to(torch.uint8)[None, None], 3, -3)[0, 0]
    assert bool((found[4, 4:24:4] == 255).all())
    assert not found[1, 1:-1].any()


def test_sobel_of_a_step() -> None:
    step = _grey([0] * 3 + [255] * 3).expand(1, 1, 4, 6)
    assert sobel(step)[0, 0].tolist() == [[0, 0, 180, 180, 0, 0]] * 4


def test_canny_draws_a_square_without_gaps() -> None:
    square = torch.zeros(1, 1, 30, 30, dtype=torch.uint8)
    square[0, 0, 8:22, 8:22] = 255
    lines = canny(square, 50, 100, 1)[0, 0]
    assert lines[15, 7:9].any() and lines[15, 21:23].any() and lines[7:9, 15].any() and lines[21:23, 15].any()
    assert not lines[12:18, 12:18].any() and not lines[:5].any()


def test_canny_follows_a_weak_line_from_a_strong_start_only() -> None:
    """A step that fades from left to right, and one that is weak everywhere."""
    images = torch.zeros(2, 1, 20, 200, dtype=torch.uint8)
    images[0, 0, 10:] = torch.linspace(120, 25, 200).to(torch.uint8)
    images[1, 0, 10:] = 25
    fading, weak = canny(images, 50, 300, 1)[:, 0]
    assert fading[:, 1:-1].any(0).all()
    assert not weak.any()


def test_clahe_of_one_tile_without_a_limit_equalises() -> None:
    images = _grey([5, 5, 6, 7], [7, 7, 7, 9])
    assert clahe(images, 256, 1)[0, 0].tolist() == [[64, 64, 96, 223], [223, 223, 223, 255]]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_images(shape: tuple[int, int], channels: int) -> None:
    images = torch.arange(channels * shape[0] * shape[1]).view(1, channels, *shape).mul(9).to(torch.uint8)
    for found in (blur(images, 5), sharpen(images, 2, 5), sobel(images), canny(images, 1, 2, 1), equalize(images)):
        assert found.shape == images.shape
    for refused in (median, lambda i, n: adaptive(i, n, 0), lambda i, n: clahe(i, 2, n)):
        with pytest.raises(DataError, match="3×3") as error:
            refused(images, 3)
        assert error.value.expected and error.value.hint


@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_value(value: int) -> None:
    images = torch.full((1, 3, 20, 20), value, dtype=torch.uint8)
    for same in (equalize, gray, gray_world, lambda i: white_patch(i, 99), lambda i: contrast(i, 3)):
        assert torch.equal(same(images), images)
    for same in (lambda i: blur(i, 2), lambda i: sharpen(i, 3, 1), lambda i: median(i, 5)):
        assert torch.equal(same(images), images)
    assert not sobel(images).any() and not canny(images, 1, 2, 1).any()
    assert not adaptive(images, 5, 0).any()
    with pytest.raises(DataError, match="single brightness"):
        otsu(images)


def test_one_image_that_otsu_cannot_divide_is_told_of_in_a_batch() -> None:
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, 0, 0] = 1
    otsu(images[:1])
    with pytest.raises(DataError):
        otsu(images)


def test_large_images_are_worked_on_in_parts() -> None:
    """Rows of a large plane, a few of many small ones: all the same pixels."""
    torch.manual_seed(0)
    large = torch.randint(0, 256, (2, 1, 700, 500), dtype=torch.uint8)
    works: list[tuple[Callable[[Tensor], Tensor], int]] = [
        (lambda i: blur(i, 1), 4),
        (lambda i: median(i, 5), 2),
        (lambda i: adaptive(i, 7, 0), 3),
    ]
    for work, reach in works:
        for top in (0, 350, 480):  # the whole is worked on in two parts of 524 and 176 rows
            part = work(large[:, :, top : top + 220])[:, :, reach:-reach]
            assert torch.equal(work(large)[:, :, top + reach : top + 220 - reach], part)
    many = large.reshape(-1, 1, 20, 20)
    assert torch.equal(filtered(many, 0, lambda block: 255 - block), 255 - many)


def test_tables_and_histograms_of_large_images() -> None:
    torch.manual_seed(0)
    large = torch.randint(0, 256, (2, 1, 2100, 2100), dtype=torch.uint8)
    counts = histograms(large)
    assert torch.equal(counts[1, 0], torch.bincount(large[1].flatten(), minlength=256))
    tables = torch.stack([torch.arange(256), 255 - torch.arange(256)]).to(torch.uint8)
    assert torch.equal(looked_up(large, tables), torch.cat([large[:1], 255 - large[1:]]))
