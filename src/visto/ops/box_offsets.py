"""A box as offsets from another: what a two-stage detector is taught to say (Girshick et al. 2014, appendix C)."""

import math

import torch
from torch import Tensor

_LARGEST = math.log(1000 / 16)  # of the logarithm of two sides: a box may grow from 16 to 1000 pixels, no further


def box_offsets(boxes: Tensor, references: Tensor) -> Tensor:
    """How to come from ``references`` …×4 to ``boxes`` …×4, row by row (broadcast): dx, dy, dw, dh.

    The middle moves by dx widths and dy heights; the width is multiplied by exp(dw), the height by exp(dh).

    >>> box_offsets(torch.tensor([5.0, 0.0, 15.0, 20.0]), torch.tensor([0.0, 0.0, 10.0, 20.0])).tolist()
    [0.5, 0.0, 0.0, 0.0]
    """
    middle, sides = _middle_and_sides(boxes)
    start, unit = _middle_and_sides(references)
    return torch.cat([(middle - start) / unit, (sides / unit).log()], -1)


def moved_boxes(offsets: Tensor, references: Tensor) -> Tensor:
    """The boxes …×4 that lie at ``offsets`` …×4 from ``references`` …×4 (broadcast): undoes ``box_offsets``.

    >>> moved_boxes(torch.tensor([0.5, 0.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 10.0, 20.0])).tolist()
    [5.0, 0.0, 15.0, 20.0]
    """
    start, unit = _middle_and_sides(references)
    middle = start + offsets[..., :2] * unit
    half = offsets[..., 2:].clamp(max=_LARGEST).exp() * unit / 2
    return torch.cat([middle - half, middle + half], -1)


def _middle_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Middles …×2 (x, y) and sides …×2 (width, height), of at least a thousandth of a pixel."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-3)
