"""Binarisation: from luminance to black (0) and white (255). uint8 N×C×H×W in, the same in every channel out."""

import torch
from torch import Tensor

from visto.errors import DataError
from visto.ops.colour import luma
from visto.ops.histogram import histograms
from visto.ops.planes import check_window, filtered


def otsu_thresholds(counts: Tensor) -> Tensor:
    """The threshold of each histogram (int64 N×256): int64 N; values above it are white.

    It maximises the variance between the two sides; the lowest where several do. Otsu, "A threshold selection method
    from gray-level histograms", 1979.

    >>> otsu_thresholds(torch.bincount(torch.tensor([10, 11, 12, 200, 201]), minlength=256)[None]).tolist()
    [12]
    """
    below = counts.cumsum(1).double()
    sums = (counts * torch.arange(256, device=counts.device)).cumsum(1).double()
    total, whole = below[:, -1:], sums[:, -1:]
    between = (total * sums - below * whole).square() / (below * (total - below)).clamp(min=1)
    return between.argmax(1)


def otsu(images: Tensor) -> Tensor:
    """White where the luminance is above Otsu's threshold of the image.

    Raises DataError for an image of a single luminance, which has no two sides; an exported graph, which cannot, makes
    it white, or black where it is black.
    """
    grey = luma(images)
    counts = histograms(grey)[:, 0]
    if not torch.compiler.is_exporting() and bool(((counts > 0).sum(1) < 2).any()):
        raise DataError(
            "an image of a single brightness, which Otsu's threshold cannot divide",
            expected="an image with at least two grey levels",
            hint="leave the image out, or use adaptive in place of otsu",
        )
    if torch.compiler.is_exporting():  # not all runtimes compare bytes
        grey = grey.int()
    thresholds = otsu_thresholds(counts).to(grey.dtype).view(-1, 1, 1, 1)
    return _white(grey > thresholds).expand_as(images)


def adaptive(images: Tensor, size: int, offset: float) -> Tensor:
    """White where the luminance is above the mean of the window around it, less ``offset`` grey levels.

    The window has ``size``×``size`` pixels (odd); beyond its edges an image goes on as in a mirror. It stands uneven
    light. Raises DataError where the window is larger than the image.
    """
    if size % 2 == 0 or size < 1:
        raise ValueError(f"a window of {size} pixels, expected odd, 1 or more")
    check_window(images, size, "adaptive")
    reach, area = size // 2, size * size

    def work(block: Tensor) -> Tensor:
        own = block[:, reach : block.shape[1] - reach, reach : block.shape[2] - reach]
        # whole numbers, so a pixel that equals its mean is never above it by a rounding error
        return _white(_box_sums(block, size) - own.int() * area < offset * area)

    return filtered(luma(images), reach, work).expand_as(images)


def _white(chosen: Tensor) -> Tensor:
    """255 where ``chosen``, else 0: uint8."""
    if torch.compiler.is_exporting():  # not all runtimes multiply bytes
        return torch.where(chosen, 255, 0).to(torch.uint8)
    return chosen.to(torch.uint8).mul_(255)


def _box_sums(block: Tensor, size: int) -> Tensor:
    """Sums over all windows of uint8 n×h×w: int32 n×(h − size + 1)×(w − size + 1), by differences of running sums."""
    sums = block
    for axis in (1, 2):
        running = sums.cumsum(axis, dtype=torch.int32)
        others = running.shape[axis] - size
        first = running.narrow(axis, size - 1, 1)
        sums = torch.cat([first, running.narrow(axis, size, others) - running.narrow(axis, 0, others)], dim=axis)
    return sums
