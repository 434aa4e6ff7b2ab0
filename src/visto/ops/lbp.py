"""Local binary patterns: which of its eight neighbours are at least as bright as a pixel.

Ojala, Pietikäinen and Mäenpää, "Multiresolution gray-scale and rotation invariant texture classification with local
binary patterns", PAMI 2002; the histograms over a grid are those of Ahonen, Hadid and Pietikäinen, "Face description
with local binary patterns", PAMI 2006. A pattern is uniform where the brighter neighbours lie side by side: 58 of the
256 are, and the others share one code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.ops.cells import cell_counts, grid_cells, shares
from visto.ops.levels import grey_levels

CODES = 59
GRID = 4
# (down, right) from the right against the clock; the slanting ones are 0.70711 away along both axes
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_BESIDE = 0.29289 / 0.70711


def _code(pattern: int) -> int:
    """0: none is brighter; 1 + 8 · (how many − 1) + where they begin, clockwise; 57: all; 58: not uniform."""
    bits = [pattern >> place & 1 for place in range(8)]
    begins = [place for place in range(8) if bits[place] and not bits[place - 1]]
    if len(begins) > 1:
        return CODES - 1
    return 1 + 8 * (sum(bits) - 1) + -begins[0] % 8 if begins else 57 * bits[0]


_CODES = torch.tensor([_code(pattern) for pattern in range(256)])


def patterns(levels: Tensor) -> Tensor:
    """The codes 0 … 58 of whole grey levels n×h×w (float32): int64 n×h×w. Beyond the border all is black.

    The eight neighbours lie on a circle of radius 1; slanting ones are interpolated from four pixels, exactly: over a
    flat ground all neighbours are as bright as the pixel.
    """
    height, width = levels.shape[1:]
    around = F.pad(levels, (1, 1, 1, 1))

    def at(down: int, right: int) -> Tensor:
        return around[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    pattern = torch.zeros_like(levels, dtype=torch.int32)
    for place, (down, right) in enumerate(_NEIGHBOURS):
        if down and right:
            # The interpolated value minus the pixel's, over 0.70711². It is 0 only where both terms are: of whole
            # levels no other sum comes closer to 0 than 0.001, and float32 errs by 0.00003.
            beside = at(down, 0) + at(0, right) - 2 * levels
            brighter = beside * _BESIDE + (at(down, right) - levels) >= 0
        else:
            brighter = at(down, right) >= levels
        pattern = pattern + brighter.int() * 2**place
    return _CODES.to(levels.device)[pattern.long()]


def lbp(images_nchw: Tensor) -> Tensor:
    """Float images in 0–1 to the share of each code in each of 4×4 cells: float32 N×944, a cell's 59 sum to 1."""
    codes = patterns(grey_levels(images_nchw))
    cells = grid_cells(codes.shape[1], codes.shape[2], GRID)
    return shares(cell_counts(codes, CODES, cells, GRID)).flatten(1)
