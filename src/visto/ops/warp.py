"""Regions of an image, each brought to one square whatever its shape (Girshick et al. 2014, appendix A)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warped(images_nchw: Tensor, boxes_nr4: Tensor, *, side: int, context: float = 0.0) -> Tensor:
    """What N images show in R boxes each, stretched to ``side``×``side`` pixels: N×R×C×side×side.

    ``context`` is the share of the square, on each side, that shows what lies around the box. Between pixels values
    are bilinear; outside of the image they are 0.

    >>> image = torch.arange(16.0).view(1, 1, 4, 4)
    >>> warped(image, torch.tensor([[[0.0, 0.0, 4.0, 2.0]]]), side=2).flatten().tolist()
    [0.5, 2.5, 4.5, 6.5]
    """
    n, channels, height, width = images_nchw.shape
    regions = boxes_nr4.shape[1]
    steps = (torch.arange(side, device=boxes_nr4.device) + 0.5) / side
    steps = (steps - 0.5) / (1 - 2 * context) + 0.5
    low, sides = boxes_nr4[..., :2, None], (boxes_nr4[..., 2:] - boxes_nr4[..., :2])[..., None]
    at = low + sides * steps  # N×R×2×side, x and y in pixels
    x, y = 2 * at[:, :, 0] / width - 1, 2 * at[:, :, 1] / height - 1
    shape = (n, regions, side, side)
    grid = torch.stack([x[:, :, None].expand(shape), y[..., None].expand(shape)], -1)
    out = F.grid_sample(images_nchw, grid.flatten(1, 2), align_corners=False)
    return out.view(n, channels, regions, side, side).transpose(1, 2)
