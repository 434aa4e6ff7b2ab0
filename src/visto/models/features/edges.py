"""The edge histogram of MPEG-7 (Won, Park and Park 2002): which kinds of edges, and where."""

from collections.abc import Sequence

from torch import nn

from visto.models.features.descriptor import Descriptor, check_size
from visto.ops import edge_histogram as ops

_LEAST = 16  # pixels a side: every one of 4×4 sub-images has 2×2 blocks of 2×2 pixels, or nearly


def edges(*, channels: int, size: Sequence[int]) -> nn.Module:
    """The shares of five kinds of edges in each of 4×4 sub-images, and how steep each sub-image is."""
    check_size("edges", size, _LEAST)
    return Descriptor(ops.edge_histogram, ops.GRID**2 * (len(ops.KINDS) + 1))
