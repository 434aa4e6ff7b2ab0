"""Descriptors against scikit-image and numpy, on photos and noise. What differs, and why, stands at each comparison."""

import math

import numpy as np
import pytest
import torch
from skimage import color, feature, filters
from torch import Tensor

from tests.ops.conftest import Array, batch
from visto.ops.colour import luma
from visto.ops.colour_histogram import colour_histogram, hsv_bins, moments
from visto.ops.cooccurrence import ANGLES, LEVELS, PROPERTIES, cooccurrences, texture
from visto.ops.edge_histogram import steepness
from visto.ops.hog import hog
from visto.ops.lbp import CODES, GRID, lbp, patterns
from visto.ops.levels import grey_levels


def floats(pixels: Array) -> Tensor:
    """A batch of one, as models see it: 0–1."""
    return batch(pixels).float() / 255


def _noise(height: int, width: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _cuts(height: int, width: int) -> list[tuple[slice, slice]]:
    """Windows of several sizes, some odd, in several places."""
    sizes = [(16, 16), (28, 28), (17, 40), (33, 19), (64, 96), (97, 131)]
    return [(slice(top, top + h), slice(top, top + w)) for h, w in sizes for top in (0, min(height - h, width - w))]


def _their_hog(levels: Array, cell: int) -> Array:
    """Of levels over 256, exact in floats: with k / 255, rounding errors decide between two channels that are equal."""
    axis = -1 if levels.ndim == 3 else None
    found: Array = feature.hog(
        levels.astype(float) / 256,
        orientations=9,
        pixels_per_cell=(cell, cell),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
        channel_axis=axis,
    )
    return found


@pytest.mark.parametrize("cell", [4, 8])
def test_hog_of_grey(photo: Array, cell: int) -> None:
    for window in _cuts(*photo.shape):
        ours = hog(floats(photo[window]), cell)[0].numpy()
        assert np.abs(ours - _their_hog(photo[window], cell)).max() < 2e-5


@pytest.mark.parametrize("cell", [4, 8])
def test_hog_of_colour(portrait: Array, cell: int) -> None:
    for picture in (portrait, _noise(131, 131)):
        for window in _cuts(*picture.shape[:2]):
            ours = hog(floats(picture[window]), cell)[0].numpy()
            assert np.abs(ours - _their_hog(picture[window], cell)).max() < 2e-5


def test_hog_of_floats() -> None:
    """Pixels that are not 8-bit. Near the border of two orientations float32 decides otherwise than float64."""
    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs = np.stack([_their_hog(image.double().permute(1, 2, 0).numpy() * 256, 4) for image in images])
    assert np.abs(hog(images, 4).numpy() - theirs).max() < 1e-4


def test_hog_of_faint_gradients() -> None:
    """One level of difference in a block: what keeps a division by 0 away weighs most here."""
    pixels = np.full((16, 16), 100, np.uint8)
    pixels[8, 8] = 101
    assert np.abs(hog(floats(pixels), 4)[0].numpy() - _their_hog(pixels * 1.0, 4)).max() < 2e-5


def _ties(levels: Array) -> Array:
    """Pixels that one of their interpolated neighbours equals exactly."""
    height, width = levels.shape
    wide, here = np.pad(levels.astype(int), 1), levels.astype(int)
    found = np.zeros(levels.shape, bool)
    for down in (-1, 1):
        for right in (-1, 1):
            beside = wide[1 + down :, 1:][:height, :width] + wide[1:, 1 + right :][:height, :width]
            found |= (beside == 2 * here) & (wide[1 + down :, 1 + right :][:height, :width] == here)
    return found


def test_local_binary_patterns(photo: Array) -> None:
    """Every pixel of a photo, the border and flat grounds too."""
    ours = patterns(batch(photo)[0].float())[0].numpy()
    assert np.array_equal(ours, feature.local_binary_pattern(photo, 8, 1, "nri_uniform"))
    assert len(np.unique(ours)) == CODES


def test_local_binary_patterns_of_few_levels(photo: Array) -> None:
    """Ours are exact; where a neighbour equals its pixel, theirs errs now and then, by rounding."""
    levels = photo // 16
    differ = patterns(batch(levels)[0].float())[0].numpy() != feature.local_binary_pattern(levels, 8, 1, "nri_uniform")
    assert not differ[~_ties(levels)].any()
    assert differ.mean() < 0.01


def test_histograms_of_patterns(portrait: Array) -> None:
    """Cells of equal size, against numpy, from the codes."""
    images = floats(portrait[:64, :96])
    codes = patterns(grey_levels(images))[0].numpy()
    tiles = codes.reshape(GRID, 16, GRID, 24).transpose(0, 2, 1, 3).reshape(GRID**2, -1)
    theirs = np.stack([np.bincount(tile, minlength=CODES) / tile.size for tile in tiles])
    assert np.abs(lbp(images)[0].numpy() - theirs.ravel()).max() < 1e-7


def test_grey_levels_are_the_luminance_of_the_rest(portrait: Array) -> None:
    for picture in (portrait, _noise(90, 110), portrait[..., 0]):
        assert torch.equal(grey_levels(floats(picture)), luma(batch(picture))[:, 0].float())


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_cooccurrences(photo: Array, distance: int) -> None:
    """Along the slant their distance is the diagonal's length, ours (Haralick's) the steps along it."""
    levels = photo // 16
    for k, (down, right) in enumerate(ANGLES):
        length = distance * math.hypot(down, right)
        theirs = feature.graycomatrix(levels, [length], [k * math.pi / 4], LEVELS, symmetric=True)[:, :, 0, 0]
        ours = cooccurrences(batch(levels)[0].long(), LEVELS, down * distance, right * distance)[0]
        assert np.array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize("window", [(28, 28), (17, 40), (96, 96), (300, 300)])
def test_properties_of_cooccurrence(photo: Array, window: tuple[int, int]) -> None:
    part = photo[: window[0], : window[1]]
    found = texture(floats(part), [1, 2, 4])[0].view(3, len(ANGLES), len(PROPERTIES)).numpy()
    for i, distance in enumerate((1, 2, 4)):
        for k in range(len(ANGLES)):
            length = distance * (math.sqrt(2) if k % 2 else 1)
            matrix = feature.graycomatrix(part // 16, [length], [k * math.pi / 4], LEVELS, symmetric=True, normed=True)
            theirs = [feature.graycoprops(matrix, name)[0, 0] for name in PROPERTIES]
            assert np.allclose(found[i, k], theirs, rtol=1e-6, atol=1e-6)


def test_colours(portrait: Array) -> None:
    """Bin by bin, but for colours on the border of two bins, which rounding errors decide for them."""
    for picture in (portrait, _noise(120, 120)):
        places = color.rgb2hsv(picture) * (8, 3, 3)
        theirs = np.minimum(np.floor(places), (7, 2, 2)).astype(int)
        clear = (np.abs(places - np.round(places)) > 1e-9) | (places == 0) | (places == (8, 3, 3))
        every = clear.all(axis=-1)
        ours = hsv_bins(floats(picture))[0].numpy()
        assert np.array_equal(ours[every], np.ravel_multi_index(tuple(theirs[every].T), (8, 3, 3)))
        assert every.mean() > 0.9

        counts, _ = np.histogramdd(places.reshape(-1, 3), (8, 3, 3), [(0, 8), (0, 3), (0, 3)])
        shares = colour_histogram(floats(picture))[0, :72].numpy()
        assert np.abs(shares * every.size - counts.ravel()).sum() <= 2 * (~every).sum() + 1e-2


def test_greys(photo: Array) -> None:
    found = colour_histogram(floats(photo))[0].numpy()
    height, width = photo.shape
    assert found.shape == (5 * (32 + 3),)
    for k, part in enumerate([photo, photo[: -(-height // 2), -(-width // 2) :]]):
        row = 2 * k  # the whole; the upper right quarter
        theirs = np.histogram(part, 32, (0, 256))[0] / part.size
        assert np.abs(found[32 * row : 32 * row + 32] - theirs).max() < 1e-6
        mean, deviation, skewness = found[160 + 3 * row : 163 + 3 * row]
        values = part / 255
        assert mean == pytest.approx(values.mean(), abs=1e-6)
        assert deviation == pytest.approx(values.std(), abs=1e-6)
        assert skewness == pytest.approx(np.cbrt(((values - values.mean()) ** 3).mean()), abs=1e-5)


def test_moments_of_colour(portrait: Array) -> None:
    values = portrait.reshape(-1, 3) / 255
    away = values - values.mean(0)
    theirs = [values.mean(0), values.std(0), np.cbrt((away**3).mean(0))]
    assert np.abs(moments(floats(portrait))[0].numpy() - np.concatenate(theirs)).max() < 1e-5


def test_steepness(photo: Array) -> None:
    part = photo[:96, :128]
    theirs = filters.sobel(part / 255).reshape(4, 24, 4, 32).mean((1, 3))
    assert np.abs(steepness(batch(part)[0].float())[0].numpy() - theirs.ravel()).max() < 1e-5
