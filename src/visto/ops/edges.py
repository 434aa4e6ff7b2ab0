"""Edges: how steep the luminance is at each pixel."""

import torch
from torch import Tensor

from visto.ops.colour import luma
from visto.ops.planes import filtered


def gradients(block: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's two gradients of planes n×h×w, down and to the right, each n×(h − 2)×(w − 2).

    A step of 1 from one pixel to the next gives 4 on both sides of it.
    """
    vertical = block[:, 2:] - block[:, :-2]
    horizontal = block[:, :, 2:] - block[:, :, :-2]
    down = vertical[:, :, 1:-1] * 2 + (vertical[:, :, :-2] + vertical[:, :, 2:])
    right = horizontal[:, 1:-1] * 2 + (horizontal[:, :-2] + horizontal[:, 2:])
    return down, right


def sobel(images: Tensor) -> Tensor:
    """The steepness of the luminance of uint8 N×C×H×W, in every channel: 0 is flat, 255 the steepest there can be.

    The root of the mean square of Sobel's two gradients, each scaled to 0–255: a clean step from black to white gives
    180 along an axis. Beyond its edges an image goes on as in a mirror.
    """

    # onnxruntime 1.20 takes roots of float32 by an approximation, and half a level can fall on the other side
    real = torch.float64 if torch.compiler.is_exporting() else torch.float32

    def work(block: Tensor) -> Tensor:
        down, right = gradients(block.int())
        square = (down * down + right * right).to(real)  # at most 2 · 1020², exact in float32
        return square.div_(32).sqrt_().round_().to(torch.uint8)

    return filtered(luma(images), 1, work).expand_as(images)
