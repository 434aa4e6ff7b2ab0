"""Co-occurrence of grey levels (Haralick et al. 1973): coarse or fine, smooth or rough, along which direction."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from visto.models.features.descriptor import Descriptor, check_size
from visto.ops import cooccurrence as ops

_LEAST = 4  # pixels a side: distances of 1 and 2
_DISTANCES = (1, 2, 4)


def cooccurrence(*, channels: int, size: Sequence[int]) -> nn.Module:
    """Seven properties at each angle and distance; a distance fits where it is at most half of the shorter side."""
    check_size("co-occurrence", size, _LEAST)
    distances = [distance for distance in _DISTANCES if 2 * distance <= min(size)]
    dimensions = len(distances) * len(ops.ANGLES) * len(ops.PROPERTIES)
    return Descriptor(partial(ops.texture, distances=distances), dimensions)
