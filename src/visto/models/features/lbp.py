"""Local binary patterns (Ojala et al. 2002, Ahonen et al. 2006): fine texture, whatever its light."""

from collections.abc import Sequence

from torch import nn

from visto.models.features.descriptor import Descriptor, check_size
from visto.ops import lbp as ops

_LEAST = 12  # pixels a side: 3×3 pixels in each of the 4×4 cells


def lbp(*, channels: int, size: Sequence[int]) -> nn.Module:
    """The shares of the 58 uniform patterns, and of all others, in each of 4×4 cells."""
    check_size("lbp", size, _LEAST)
    return Descriptor(ops.lbp, ops.GRID**2 * ops.CODES)
