"""Pixel by pixel against scikit-image, on photos and on noise. What differs, and why, stands at each comparison."""

import numpy as np
import pytest
from skimage import color, exposure, feature, filters

from tests.ops.conftest import Array, array, batch, levels
from visto.ops.canny import canny
from visto.ops.clahe import clahe
from visto.ops.colour import luma, saturation, with_luma
from visto.ops.edges import sobel
from visto.ops.equalize import equalize
from visto.ops.median import median
from visto.ops.smooth import blur, sharpen
from visto.ops.threshold import adaptive, otsu
from visto.ops.tone import gamma


def _nearly_all_equal(ours: Array, theirs: Array, share: float = 1e-3) -> None:
    """Within one grey level, and equal but for a few pixels that lie between two levels."""
    difference = np.abs(ours.astype(float) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= share


@pytest.mark.parametrize("exponent", [0.3, 0.7, 2.2])
def test_gamma(photo: Array, exponent: float) -> None:
    assert np.array_equal(array(gamma(batch(photo), exponent)), exposure.adjust_gamma(photo, exponent))


@pytest.mark.parametrize("sigma", [0.5, 1, 3.3, 20])
def test_blur(photo: Array, sigma: float) -> None:
    theirs = filters.gaussian(photo, sigma, mode="reflect", preserve_range=True)
    _nearly_all_equal(array(blur(batch(photo), sigma)), levels(theirs))  # float32 against float64


@pytest.mark.parametrize("sigma", [1, 2])
def test_sharpen(photo: Array, sigma: float) -> None:
    theirs = 255 * filters.unsharp_mask(photo, radius=sigma, amount=1.5)
    _nearly_all_equal(array(sharpen(batch(photo), 1.5, sigma)), levels(theirs))


@pytest.mark.parametrize("size", [3, 5, 15])
def test_median(photo: Array, size: int) -> None:
    theirs = filters.median(photo, np.ones((size, size)), mode="reflect", behavior="ndimage")
    assert np.array_equal(array(median(batch(photo), size)), theirs)


def test_sobel(photo: Array) -> None:
    """Where the exact value lies between two levels, theirs falls by its rounding errors; ours goes to the even one."""
    theirs = 255 * filters.sobel(photo)
    ours = array(sobel(batch(photo)))
    between = np.abs(theirs % 1 - 0.5) < 1e-9
    assert np.array_equal(ours[~between], levels(theirs)[~between])
    assert np.abs(ours - theirs).max() <= 0.5 + 1e-9


def test_otsu(photo: Array) -> None:
    assert np.array_equal(array(otsu(batch(photo))), (photo > filters.threshold_otsu(photo)) * 255)


@pytest.mark.parametrize(("size", "offset"), [(3, 0.0), (15, 5.0), (51, -3.5)])
def test_adaptive(photo: Array, size: int, offset: float) -> None:
    """A pixel that equals its threshold is never above it for us; for them by their rounding errors."""
    theirs = filters.threshold_local(photo, size, method="mean", offset=offset)
    clear = np.abs(photo - theirs) > 1e-9
    ours = array(adaptive(batch(photo), size, offset))
    assert np.array_equal(ours[clear], ((photo > theirs) * 255)[clear])
    assert not ours[~clear].any()


def test_equalize(photo: Array) -> None:
    """Theirs leaves the darkest pixels at their share of the image; rescaled to 0–255 it is ours."""
    theirs = exposure.rescale_intensity(exposure.equalize_hist(photo), out_range=(0, 255))
    assert np.array_equal(array(equalize(batch(photo))), levels(theirs))


@pytest.mark.parametrize(("low", "high", "sigma"), [(50, 100, 1.0), (25.5, 51, 2.0), (100, 200, 0.7), (10, 400, 1.4)])
def test_canny(photo: Array, low: float, high: float, sigma: float) -> None:
    """Every pixel, with the edges mirrored as everywhere here (their default is black beyond, and weighted for it)."""
    theirs = feature.canny(photo, sigma, low, high, mode="reflect")
    assert np.array_equal(array(canny(batch(photo), low, high, sigma)), theirs * 255)


def test_clahe(photo: Array) -> None:
    """Another definition: a rough likeness. Ours is OpenCV's, compared bit by bit in another test.

    Theirs stretches the image to its full range before and after, lies half a pixel beside, mirrors the tiles at the
    borders instead of repeating them, and spreads what was clipped in another way.
    """
    height, width = photo.shape[0] // 8 * 8, photo.shape[1] // 8 * 8
    whole = photo[:height, :width]
    theirs = 255 * exposure.equalize_adapthist(whole, (height // 8, width // 8), clip_limit=2 / 256)
    ours = array(clahe(batch(whole), 2, 8)).astype(float)
    assert np.abs(ours - theirs).mean() < 7
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_luminance(portrait: Array) -> None:
    theirs = 255 * color.rgb2yuv(portrait)[..., 0]
    assert np.abs(array(luma(batch(portrait))) - theirs).max() < 0.51  # ours in 1/65536


def test_a_new_luminance_keeps_the_colour(portrait: Array) -> None:
    images = batch(portrait)
    old = luma(images)
    new = gamma(old, 0.8)
    changed = array(with_luma(images, old, new)).astype(float)
    yuv = color.rgb2yuv(portrait)
    yuv[..., 0] += (array(new).astype(float) - array(old)) / 255
    theirs = 255 * color.yuv2rgb(yuv)
    assert np.abs(changed - np.clip(theirs, 0, 255)).max() < 0.01


def test_saturation(portrait: Array) -> None:
    grey = 255 * color.rgb2yuv(portrait)[..., :1]
    theirs = np.clip(grey + 1.5 * (portrait - grey), 0, 255)
    assert np.abs(array(saturation(batch(portrait), 1.5)) - theirs).max() < 1


def test_filters_take_each_channel_on_its_own(portrait: Array) -> None:
    blurred = filters.gaussian(portrait, 1.5, mode="reflect", preserve_range=True, channel_axis=-1)
    _nearly_all_equal(array(blur(batch(portrait), 1.5)), levels(blurred))
    theirs = np.stack([filters.median(portrait[..., k], np.ones((3, 3)), mode="reflect") for k in range(3)], axis=-1)
    assert np.array_equal(array(median(batch(portrait), 3)), theirs)
