"""Histograms and moments of colour (Swain and Ballard 1991, Stricker and Orengo 1995): which colours, and where."""

from collections.abc import Sequence

from torch import nn

from visto.models.features.descriptor import Descriptor, check_size
from visto.ops import colour_histogram as ops

_LEAST = 4  # pixels a side: 2×2 pixels in each quarter


def colour(*, channels: int, size: Sequence[int]) -> nn.Module:
    """72 bins of hue, saturation and value (32 of grey) and three moments a channel: of the whole, of its quarters."""
    check_size("colour", size, _LEAST)
    bins = ops.HUES * ops.SATURATIONS * ops.VALUES if channels == 3 else ops.GREYS
    return Descriptor(ops.colour_histogram, ops.REGIONS * (bins + 3 * channels))
