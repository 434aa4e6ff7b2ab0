"""Canny's edges: thin lines where the luminance is steepest.

Canny, "A computational approach to edge detection", IEEE PAMI 8(6), 1986.
"""

import torch
from torch import Tensor

from visto.ops.colour import luma
from visto.ops.edges import gradients
from visto.ops.planes import filtered
from visto.ops.smooth import gaussian, smoothed

_WEAK, _STRONG = 1, 2


def canny(images: Tensor, low: float, high: float, sigma: float) -> Tensor:
    """White lines (255) on black, the same in every channel, from uint8 N×C×H×W.

    The luminance is smoothed by a Gaussian of ``sigma`` pixels; a pixel is thin where its gradient (Sobel's, 0 to
    1,442) is not below those on both sides across the edge, found between the pixels by interpolation; an edge is what
    is thin and reaches ``high``, with all that is thin, reaches ``low`` and hangs together with it. The outermost
    pixels are never edges.
    """
    weights = gaussian(sigma)

    def work(block: Tensor) -> Tensor:
        # float64: two equal gradients side by side must stay equal, or a clean step would have gaps
        return _thin(smoothed(block.double() / 255, weights), low / 255, high / 255)

    kinds = filtered(luma(images), len(weights) + 1, work)
    for border in (kinds[:, :, :1], kinds[:, :, -1:], kinds[..., :1], kinds[..., -1:]):
        border.zero_()
    return _connected(kinds).to(torch.uint8).mul_(255).expand_as(images)


def _thin(planes: Tensor, low: float, high: float) -> Tensor:
    """Smoothed planes n×(h + 4)×(w + 4) to uint8 n×h×w: where the gradient is highest across the edge."""
    down, right = gradients(planes)
    steepness = (down * down + right * right).sqrt_()
    height, width = steepness.shape[1:]
    inner = steepness[:, 1:-1, 1:-1]
    kinds = torch.zeros(inner.shape, dtype=torch.uint8, device=planes.device)
    image, y, x = (inner >= low).nonzero(as_tuple=True)
    at = (image * height + y + 1) * width + x + 1
    flat, down, right = steepness.flatten(), down.flatten()[at], right.flatten()[at]
    # The gradient points from the pixel to between a straight neighbour (along the axis where it is steeper) and a
    # diagonal one; the other side is the mirror image.
    turn = torch.where(down * right >= 0, 1, -1)
    steep = down.abs() > right.abs()
    straight = torch.where(steep, turn * width, 1)
    diagonal = turn * width + 1
    own, a, b = flat[at], down.abs(), right.abs()
    share = torch.minimum(a, b) / torch.maximum(a, b)
    ahead = flat[at + diagonal] * share + flat[at + straight] * (1 - share)
    behind = flat[at - diagonal] * share + flat[at - straight] * (1 - share)
    kind = torch.where(own >= high, _STRONG, _WEAK)
    kinds[image, y, x] = torch.where((ahead <= own) & (behind <= own), kind, 0).to(torch.uint8)
    return kinds


def _connected(kinds: Tensor) -> Tensor:
    """Where a pixel is strong, or weak and joined to a strong one by weak ones, of eight neighbours: bool, same shape.

    ``kinds`` (uint8 N×1×H×W) has an empty border. Strong ones are dilated into the weak, again and again, but only
    from where the last round arrived: a round costs what is new in it, not the whole image.
    """
    width = kinds.shape[3]
    flat = kinds.flatten()
    weak, edge = flat == _WEAK, flat == _STRONG
    around = torch.tensor([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x], device=kinds.device)
    arrived = edge.nonzero()
    while arrived.numel():
        near = (arrived + around).flatten()
        arrived = torch.unique(near[weak[near]])[:, None]
        weak[arrived] = False
        edge[arrived] = True
    return edge.view(kinds.shape)
