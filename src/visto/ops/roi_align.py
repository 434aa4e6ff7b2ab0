"""RoIAlign (He et al. 2017, Mask R-CNN): what a map shows within boxes, each on a grid of its own, nothing rounded.

A value of the grid is the mean of samples between the map's points, each a weighted sum of the four points around it.
These weights are a row's times a column's, so all grids of an image come from two matrix products, forward and back,
and no point is fetched by itself.
"""

import torch
from torch import Tensor

_SAMPLES = 2  # a side of each bin of the grid, as in detectron


def roi_align(
    map_nchw: Tensor, boxes_nr4: Tensor, *, stride: float, bins: int = 7, which_nr: Tensor | None = None
) -> Tensor:
    """What N maps show within R boxes each: N×R×bins×bins×C (rows, columns, channels).

    ``boxes_nr4`` are in pixels of the input, whose points of the map lie ``stride`` pixels apart, the first at half a
    stride. Where ``which_nr`` is false all is 0. A sample up to one point outside of the map counts as on its edge, one
    further out as 0.

    >>> map = torch.arange(16.0).view(1, 1, 4, 4)
    >>> roi_align(map, torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]), stride=1, bins=2).flatten().tolist()
    [2.5, 4.5, 10.5, 12.5]
    """
    n, channels, height, width = map_nchw.shape
    rows = bin_weights(boxes_nr4[..., 1], boxes_nr4[..., 3], points=height, stride=stride, bins=bins)
    if which_nr is not None:
        rows = rows * which_nr[..., None, None]
    columns = bin_weights(boxes_nr4[..., 0], boxes_nr4[..., 2], points=width, stride=stride, bins=bins)
    points = map_nchw.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    # N×(R·bins)×H @ N×H×(W·C), then of each row of bins: bins×W @ W×C
    through_rows = (rows.flatten(1, 2).to(points.dtype) @ points).view(n, -1, bins, width, channels)
    return columns[:, :, None].to(points.dtype) @ through_rows


def bin_weights(low_nr: Tensor, high_nr: Tensor, *, points: int, stride: float, bins: int) -> Tensor:
    """How much each point of an axis counts in each bin from ``low`` to ``high`` pixels: N×R×bins×points.

    >>> bin_weights(torch.tensor([[0.0]]), torch.tensor([[4.0]]), points=4, stride=1.0, bins=2)
    tensor([[[[0.5000, 0.5000, 0.0000, 0.0000],
              [0.0000, 0.0000, 0.5000, 0.5000]]]])
    """
    steps = (torch.arange(bins * _SAMPLES, device=low_nr.device) + 0.5) / (bins * _SAMPLES)
    at = (low_nr[..., None] + (high_nr - low_nr)[..., None] * steps) / stride - 0.5  # in points of the map
    here = (at >= -1) & (at <= points)
    # between two points, each counts by how near it is: a hat over every point
    hats = (1 - (at.clamp(0, points - 1)[..., None] - torch.arange(points, device=at.device)).abs()).clamp_min(0)
    return (hats * here[..., None]).view(*at.shape[:2], bins, _SAMPLES, points).mean(3)
