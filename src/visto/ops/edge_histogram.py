"""Which kinds of edges an image has, and where: the edge histogram of MPEG-7, and how steep its parts are.

Won, Park and Park, "Efficient use of MPEG-7 edge histogram descriptor", ETRI Journal 2002.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.ops.cells import binned, cell_counts, grid_cells, shares
from visto.ops.edges import gradients
from visto.ops.levels import grey_levels

GRID = 4
KINDS = ("vertical", "horizontal", "45°", "135°", "without direction")
_BLOCKS = 1100  # in a whole image, about: the paper's number
_THRESHOLD = 11  # grey levels: below it a block has no edge; the paper's number too


def block_side(height: int, width: int) -> int:
    """The side of the blocks in pixels: even, at least 2, about 1100 blocks an image, two or more across a sub-image.

    >>> block_side(28, 28), block_side(150, 150), block_side(1000, 1000)
    (2, 4, 30)
    """
    paper = int(math.sqrt(height * width / _BLOCKS))
    room = min(height, width) // (2 * GRID)
    return max(2, min(paper, room) // 2 * 2)


def edge_kinds(levels: Tensor, side: int) -> Tensor:
    """The kind of edge in each block of side×side pixels: int64 n×(h // side)×(w // side), as in ``KINDS``, 5 for none.

    ``levels`` are whole grey levels n×h×w. The means of a block's four quarters go through the five filters of the
    descriptor; the strongest names the kind, the first of equals, where it is above 11 grey levels.
    """
    rows, columns = levels.shape[1] // side, levels.shape[2] // side
    half = side // 2
    parts = levels[:, : rows * side, : columns * side].reshape(-1, 2 * rows, half, 2 * columns, half).sum((2, 4))
    upper_left, upper_right = parts[:, ::2, ::2], parts[:, ::2, 1::2]
    lower_left, lower_right = parts[:, 1::2, ::2], parts[:, 1::2, 1::2]
    strengths = (
        (upper_left + lower_left - upper_right - lower_right).abs(),
        (upper_left + upper_right - lower_left - lower_right).abs(),
        (upper_left - lower_right).abs() * math.sqrt(2),
        (upper_right - lower_left).abs() * math.sqrt(2),
        (upper_left + lower_right - upper_right - lower_left).abs() * 2,
    )
    strongest = torch.full_like(upper_left, _THRESHOLD * half**2)  # sums, not means: whole numbers
    kind = torch.full_like(upper_left, len(KINDS), dtype=torch.int64)
    for number, strength in enumerate(strengths):
        kind = torch.where(strength > strongest, number, kind)
        strongest = torch.maximum(strength, strongest)
    return kind


def steepness(levels: Tensor) -> Tensor:
    """The mean of Sobel's gradient in each of 4×4 sub-images of grey levels n×h×w: n×16, 1 is the steepest there is.

    The scale of ``visto.ops.edges.sobel``, over 255.
    """
    around = F.pad(levels, (1, 1, 1, 1), mode="replicate")
    down, right = gradients(around)
    slope = ((down.square() + right.square()) / 32).sqrt() / 255
    cells = grid_cells(levels.shape[1], levels.shape[2], GRID).to(levels.device).view(1, -1)
    sums = binned(cells.expand(levels.shape[0], -1), GRID**2, slope.flatten(1))
    return sums / binned(cells, GRID**2)


def edge_histogram(images_nchw: Tensor) -> Tensor:
    """Float images in 0–1 to float32 N×96: the shares of five kinds of edges in 4×4 sub-images, then their steepness.

    A block belongs to the sub-image of its upper left corner; blocks without an edge are the rest to 1.
    """
    levels = grey_levels(images_nchw)
    height, width = levels.shape[1:]
    side = block_side(height, width)
    cells = grid_cells(height, width, GRID, side)
    counts = cell_counts(edge_kinds(levels, side), len(KINDS) + 1, cells, GRID)
    return torch.cat([shares(counts)[..., : len(KINDS)].flatten(1), steepness(levels)], dim=1)
