"""How a filter goes over a batch: plane by plane, in blocks that suit the processor's cache, the edges mirrored."""

from collections.abc import Callable

import torch
from torch import Tensor

from visto.errors import DataError

# A quarter of a million pixels: as float32 they and their like stay in a cache of some megabytes, and the memory a
# filter takes does not grow with the image.
_BLOCK = 1 << 18


def mirrored(side: int, reach: int) -> Tensor:
    """Indices (side + 2·reach, int64) into an axis that goes on at both ends as in a mirror, the last pixel twice.

    >>> mirrored(3, 4).tolist()
    [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]
    """
    index = torch.arange(-reach, side + reach).remainder(2 * side)
    return torch.minimum(index, 2 * side - 1 - index)


def filtered(images: Tensor, reach: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``work`` to every plane of uint8 images N×C×H×W: uint8 of the same shape.

    ``work`` takes uint8 planes n×(h + 2·reach)×(w + 2·reach) and gives uint8 n×h×w, each pixel from the window of
    ±``reach`` around it. It sees a few small planes at once, or some rows of a large one.
    """
    height, width = images.shape[2:]
    planes = images.reshape(-1, height, width)
    rows, columns = (mirrored(side, reach).to(images.device) for side in (height, width))
    if torch.compiler.is_exporting():  # a loop would hold a graph to the batch of its example
        return work(planes.index_select(1, rows).index_select(2, columns)).view(images.shape)
    out = torch.empty(planes.shape, dtype=torch.uint8, device=images.device)
    together, tall = max(1, _BLOCK // (height * width)), max(1, _BLOCK // width)
    for first in range(0, len(planes), together):
        some = planes[first : first + together]
        for top in range(0, height, tall):
            bottom = min(height, top + tall)
            block = some.index_select(1, rows[top : bottom + 2 * reach]).index_select(2, columns)
            out[first : first + together, top:bottom] = work(block)
    return out.view(images.shape)


def check_window(images: Tensor, side: int, step: str) -> None:
    """Raise DataError where a window of ``side`` pixels does not fit into the images."""
    height, width = images.shape[2:]
    if side > min(height, width):
        raise DataError(
            f"{step} with a window of {side}×{side} pixels on an image of {width}×{height}",
            expected="an image at least as large as the window",
            hint=f"a smaller window for {step}, or a larger size",
        )
