"""Against Pillow, and against what OpenCV gave."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tests.ops.conftest import Array, array, batch
from visto.ops.clahe import clahe
from visto.ops.colour import luma, saturation
from visto.ops.equalize import equalize
from visto.ops.tone import brightness, contrast

# cv2.createCLAHE(4.0, (4, 4)) of OpenCV 5.0.0 on _slope(): neither side is divided by the tiles
_CLAHE = """
0d264c737d73635e737d73635e788c929097 1a4073959886798195988679819aaba6a6c5 336699b8ad9994a3b8ad9994a3bec0b9c1dd
436c99ada59795a3ada59795a3b4b8b7c4ce 466c92a8a399969da8a399969dafb6bcbfc6 3d6693aba799949eaba799949eb1bebcbece
336699b8ad9994a3b8ad9994a3bec4c0c9e8 436c99ada59795a3ada59795a3b5bcbecdd9 466c92a8a399969da8a399969db0babcc8d1
3d6693aba799949eaba799949eb3bec2c7da 336699b8ad9994a3b8ad9994a3bfc8c6d2e8 5082b6cabaa7a8bdcabaa7a8bdd3d5d4e0fc
6c9fccd7c4b6bcd1d7c4b6bcd1e0dfdff2ff
"""


def _slope() -> Array:
    return (np.add.outer(np.arange(13) * 7, np.arange(18) * 9) % 256).astype(np.uint8)


def test_clahe_is_that_of_opencv() -> None:
    expected = np.frombuffer(bytes.fromhex(_CLAHE), np.uint8).reshape(13, 18)
    assert np.array_equal(array(clahe(batch(_slope()), 4, 4)), expected)


def test_luminance_is_that_of_pillow(portrait: Array) -> None:
    assert np.array_equal(array(luma(batch(portrait))), np.asarray(Image.fromarray(portrait).convert("L")))


@pytest.mark.parametrize("factor", [0, 0.4, 1, 1.7, 3])
def test_enhancement_is_that_of_pillow(portrait: Array, factor: float) -> None:
    """Within a grey level: Pillow cuts off what is behind the point."""
    picture = Image.fromarray(portrait)
    pairs = (
        (brightness, ImageEnhance.Brightness(picture)),
        (contrast, ImageEnhance.Contrast(picture)),
        (saturation, ImageEnhance.Color(picture)),
    )
    for ours, theirs in pairs:
        difference = array(ours(batch(portrait), factor)).astype(int) - np.asarray(theirs.enhance(factor))
        assert np.abs(difference).max() <= 1


def test_equalising_a_picture_in_colour_changes_its_luminance_as_if_it_were_grey(portrait: Array) -> None:
    images = batch(portrait)
    grey = luma(images)
    change = equalize(grey).short() - grey.short()
    assert torch.equal(equalize(images), (images.short() + change).clamp(0, 255).to(torch.uint8))
