"""Counts and sums over the cells of a grid, for a whole batch at once: what most descriptors end in."""

import torch
from torch import Tensor


def grid_cells(height: int, width: int, across: int, step: int = 1) -> Tensor:
    """Which cell of a grid of across×across each pixel lies in: int64 height×width, cells counted along the rows.

    With ``step``: one number for each whole block of step×step pixels, by its upper left corner.

    >>> grid_cells(2, 5, 2).tolist()
    [[0, 0, 0, 1, 1], [2, 2, 2, 3, 3]]
    """
    rows, columns = (torch.arange(0, side - step + 1, step) * across // side for side in (height, width))
    return rows[:, None] * across + columns


def binned(index: Tensor, bins: int, weights: Tensor | None = None) -> Tensor:
    """How often each of 0 … bins − 1 occurs in each row of an int64 index n×p, or the sum of its weights: n×bins.

    float32: counts are exact up to 2²⁴.

    >>> binned(torch.tensor([[0, 2, 2]]), 3).tolist()
    [[1.0, 0.0, 2.0]]
    >>> binned(torch.tensor([[0, 2, 2]]), 3, torch.tensor([[0.5, 1.0, 4.0]])).tolist()
    [[0.5, 0.0, 5.0]]
    """
    empty = torch.zeros(index.shape[0], bins, device=index.device)
    return empty.scatter_add(1, index, empty.new_ones(()).expand(index.shape) if weights is None else weights)


def cell_counts(codes: Tensor, bins: int, cells: Tensor, across: int) -> Tensor:
    """How often each code 0 … bins − 1 occurs in each cell: float32 N×across²×bins.

    ``codes`` is int64 N×h×w; ``cells`` is int64 h×w, from ``grid_cells``.
    """
    index = cells.to(codes.device) * bins + codes
    return binned(index.flatten(1), across**2 * bins).view(-1, across**2, bins)


def shares(counts: Tensor) -> Tensor:
    """Counts as shares of the sum of their last axis; a row of nothing stays 0."""
    return counts / counts.sum(-1, keepdim=True).clamp(min=1)
