"""Boxes as corners (x0, y0, x1, y1) in pixels, as edges: a box is x1 - x0 wide."""

import torch
from torch import Tensor


def box_areas(boxes: Tensor) -> Tensor:
    """The areas of boxes …×4, in square pixels.

    >>> box_areas(torch.tensor([[0.0, 0.0, 4.0, 2.0]])).tolist()
    [8.0]
    """
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def shared_areas(first: Tensor, second: Tensor) -> Tensor:
    """The areas that boxes …×4 share with others …×4, row by row (broadcast).

    >>> shared_areas(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([[1.0, 0.0, 3.0, 2.0], [2.0, 2.0, 3.0, 3.0]]))
    tensor([2., 0.])
    """
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp_min(0).prod(-1)


def intersections(first_n4: Tensor, second_m4: Tensor) -> Tensor:
    """The area that each of …×N boxes shares with each of …×M: …×N×M."""
    return shared_areas(first_n4[..., :, None, :], second_m4[..., None, :, :])


def box_iou(first_n4: Tensor, second_m4: Tensor) -> Tensor:
    """Intersection over union of each of …×N boxes with each of …×M: …×N×M in 0–1; 0 where both are empty.

    >>> box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0], [2.0, 2.0, 3.0, 3.0]]))
    tensor([[0.3333, 0.0000]])
    """
    shared = intersections(first_n4, second_m4)
    union = box_areas(first_n4)[..., :, None] + box_areas(second_m4)[..., None, :] - shared
    return torch.where(union > 0, shared / union.clamp_min(1e-12), 0.0)


def clip_boxes(boxes: Tensor, height: float, width: float) -> Tensor:
    """The parts of boxes …×4 that lie in an image of that height and width.

    >>> clip_boxes(torch.tensor([[-3.0, 1.0, 9.0, 5.0]]), 4, 8).tolist()
    [[0.0, 1.0, 8.0, 4.0]]
    """
    return torch.stack(
        [
            boxes[..., 0].clamp(0, width),
            boxes[..., 1].clamp(0, height),
            boxes[..., 2].clamp(0, width),
            boxes[..., 3].clamp(0, height),
        ],
        -1,
    )


def move_boxes(boxes_n4: Tensor, affine_23: Tensor) -> Tensor:
    """The boxes N×4 after x → a·x + c, y → e·y + f, where ``affine_23`` is [[a, 0, c], [0, e, f]] without a turn.

    >>> move_boxes(torch.tensor([[1.0, 1.0, 2.0, 3.0]]), torch.tensor([[2.0, 0.0, 5.0], [0.0, 1.0, 0.0]])).tolist()
    [[7.0, 1.0, 9.0, 3.0]]
    """
    scale = torch.stack([affine_23[0, 0], affine_23[1, 1]]).repeat(2)
    offset = affine_23[:, 2].repeat(2)
    return boxes_n4 * scale + offset
