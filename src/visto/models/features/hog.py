"""Histograms of oriented gradients (Dalal and Triggs 2005): shapes, whatever their light and colour."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from visto.models.features.descriptor import Descriptor, check_size
from visto.ops import hog as ops

_LEAST = 16  # pixels a side: 3×3 blocks of the small cells; one block of an 8×8 image would be 36 numbers for 64 pixels
_LARGE = 64  # pixels a side: from here on the paper's cells of 8 pixels, below it half of them


def hog(*, channels: int, size: Sequence[int]) -> nn.Module:
    """9 orientations, cells of 8×8 pixels (4×4 where a side is under 64), in overlapping blocks of 2×2 cells."""
    check_size("hog", size, _LEAST)
    cell = 8 if min(size) >= _LARGE else 4
    blocks = (size[0] // cell - 1) * (size[1] // cell - 1)
    return Descriptor(partial(ops.hog, cell=cell), blocks * 4 * ops.ORIENTATIONS)
