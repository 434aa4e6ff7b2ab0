"""Histograms of oriented gradients: which way the edges run in each cell, whatever the light.

Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005: unsigned orientations, blocks of
2×2 cells that overlap by one cell, L2-Hys. As in scikit-image a pixel votes for one orientation in one cell (the paper
shares its vote with the neighbours).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from visto.ops.cells import binned

ORIENTATIONS = 9  # of 20° each
_ENOUGH = 1e-20  # keeps 0 / 0 away: too little to change a gradient that is not 0
_FAINT = 1e-5  # of a block whose gradients (of images in 0–1) are summed: below it a block counts as flat
_CLIP = 0.2  # of a block's length: what one strong edge may have


def gradients(images_nchw: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients down and to the right, each N×H×W, between the two neighbours of a pixel; 0 at the image's border.

    Of the channel that has the longer gradient at the pixel, the first of equals. In levels: an image in 0–1 times 255,
    which for k/255 in float32 is exactly k, so that equals are equal.
    """
    levels = images_nchw.float() * 255
    down = F.pad(levels[:, :, 2:] - levels[:, :, :-2], (0, 0, 1, 1))
    right = F.pad(levels[:, :, :, 2:] - levels[:, :, :, :-2], (1, 1))
    steepest_down, steepest_right = down[:, 0], right[:, 0]
    if down.shape[1] == 1:
        return steepest_down, steepest_right
    longest = steepest_down.square() + steepest_right.square()
    for other_down, other_right in zip(down.unbind(1)[1:], right.unbind(1)[1:], strict=True):
        length = other_down.square() + other_right.square()
        longer = length > longest
        steepest_down = torch.where(longer, other_down, steepest_down)
        steepest_right = torch.where(longer, other_right, steepest_right)
        longest = torch.maximum(length, longest)
    return steepest_down, steepest_right


def orientations(images_nchw: Tensor, cell: int) -> Tensor:
    """How much gradient runs each way in each cell of cell×cell pixels: N×(H // cell)×(W // cell)×9, in levels.

    Orientation 0 holds gradients of 0° (to the right, or left) up to 20°, turning from right to down. What is left over
    below and at the right belongs to no cell.
    """
    rows, columns = (side // cell for side in images_nchw.shape[2:])
    down, right = (part[:, : rows * cell, : columns * cell] for part in gradients(images_nchw))
    # −90° to 90°: a gradient and its opposite have one orientation, and one quotient
    turn = (torch.atan(down / torch.where(right == 0, _ENOUGH, right)) * (ORIENTATIONS / math.pi)).floor()
    turn = torch.where(turn < 0, turn + ORIENTATIONS, turn)
    cells = torch.arange(rows * cell)[:, None] // cell * columns + torch.arange(columns * cell) // cell
    index = cells.to(turn.device) * ORIENTATIONS + turn.long()
    length = (down.square() + right.square()).sqrt()
    sums = binned(index.flatten(1), rows * columns * ORIENTATIONS, length.flatten(1))
    return sums.view(-1, rows, columns, ORIENTATIONS)


def hog(images_nchw: Tensor, cell: int) -> Tensor:
    """Float images N×C×H×W in 0–1 to float32 N×(36 · blocks), the blocks along the rows.

    There is a block at each place where 2×2 cells of cell×cell pixels fit; its cells are in reading order.
    """
    cells = orientations(images_nchw, cell)
    corners = [cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]]
    blocks = torch.cat(corners, dim=-1)
    blocks = _unit(blocks, _FAINT * 255).clamp(max=_CLIP)
    return _unit(blocks, _FAINT).flatten(1)


def _unit(blocks: Tensor, faint: float) -> Tensor:
    return blocks / (blocks.square().sum(-1, keepdim=True) + faint**2).sqrt()
