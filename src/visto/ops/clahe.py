"""Contrast-limited adaptive histogram equalisation."""

import torch
from torch import Tensor

from visto.errors import DataError
from visto.ops.colour import luma, with_luma
from visto.ops.histogram import histograms

_AT_ONCE = 1 << 20  # pixels


def clahe(images: Tensor, clip: float, tiles: int) -> Tensor:
    """Equalise the luminance of uint8 images N×C×H×W tile by tile: local contrast, without blowing up noise.

    Colour is kept. There are ``tiles``×``tiles`` tiles; in the histogram of each no bin counts for more than ``clip``
    (1 or more) times the mean bin, and what is above is spread over all. A pixel is mapped by the four tiles around
    it, interpolated. As OpenCV's createCLAHE(clip, (tiles, tiles)) does it. An image that the tiles do not divide is
    continued to the right and below as in a mirror (where they divide one side only, OpenCV lengthens that one too).

    Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.

    Raises DataError where a tile would be under 2×2 pixels.
    """
    grey = luma(images)
    height, width = grey.shape[2:]
    if 2 * tiles > min(height, width):
        raise DataError(
            f"clahe with {tiles}×{tiles} tiles on an image of {width}×{height} pixels",
            expected="tiles of at least 2×2 pixels",
            hint="fewer tiles for clahe, or a larger size",
        )
    tall, wide = -(-height // tiles), -(-width // tiles)
    continued = _continued(grey, tall * tiles, wide * tiles)
    blocks = continued.view(-1, tiles, tall, tiles, wide).transpose(2, 3).reshape(grey.shape[0], -1, tall, wide)
    tables = _tables(histograms(blocks), tall * wide, clip).view(grey.shape[0], tiles, tiles, 256)
    return with_luma(images, grey, _interpolated(grey, tables, tall, wide))


def _continued(grey: Tensor, height: int, width: int) -> Tensor:
    """Mirrored at the right and below to height×width, the last pixel not doubled (as in OpenCV)."""
    for axis, side in ((2, height), (3, width)):
        old = grey.shape[axis]
        index = torch.arange(side, device=grey.device).remainder(2 * old - 2)
        grey = grey.index_select(axis, torch.minimum(index, 2 * old - 2 - index))
    return grey


def _tables(counts: Tensor, area: int, clip: float) -> Tensor:
    """Clipped histograms (int64 N×K×256 of ``area`` pixels each), spread and summed: float32 N×K×256, whole numbers."""
    limit = max(1, int(clip * area / 256))
    surplus = (counts - limit).clamp(min=0).sum(2, keepdim=True)
    counts = counts.clamp(max=limit) + surplus // 256
    rest = surplus % 256
    step = torch.full_like(rest, 256) // rest.clamp(min=1)  # not 256 // …, which has no form in ONNX
    bins = torch.arange(256, device=counts.device)
    counts = counts + ((bins % step == 0) & (bins // step < rest))
    scale = torch.tensor(255 / area, dtype=torch.float32, device=counts.device)
    return (counts.cumsum(2).float() * scale).round_().clamp_(0, 255)


def _interpolated(grey: Tensor, tables: Tensor, tall: int, wide: int) -> Tensor:
    """Each pixel through the tables (N×T×T×256) of the four tiles around it, weighted by nearness."""
    count, _, height, width = grey.shape
    tiles, entries = tables.shape[1], tables.flatten()
    device = grey.device
    up, down, below = _neighbours(height, tall, tiles, device)
    columns = _neighbours(width, wide, tiles, device)
    image = torch.arange(count, dtype=torch.int32, device=device).view(-1, 1, 1)

    def within(some: slice, part: slice) -> Tensor:
        value, share = grey[some, 0, part].int(), below[part, None]
        north, south = (
            _row_of_tiles(entries, (image[some] * tiles + tile[part, None]) * tiles, value, columns)
            for tile in (up, down)
        )
        return (north * (1 - share) + south * share).round_().to(torch.uint8)

    if torch.compiler.is_exporting():  # a loop would hold a graph to the batch of its example
        return within(slice(None), slice(None))[:, None]
    out = torch.empty_like(grey, memory_format=torch.contiguous_format)
    images, rows = max(1, _AT_ONCE // (height * width)), max(1, _AT_ONCE // width)
    for first in range(0, count, images):
        some = slice(first, min(count, first + images))
        for top in range(0, height, rows):
            part = slice(top, min(height, top + rows))
            out[some, 0, part] = within(some, part)
    return out


def _row_of_tiles(entries: Tensor, first: Tensor, value: Tensor, columns: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """``value`` (int32 n×h×w) through the tiles at its left and right, in the row that starts with tile ``first``."""
    left, right, share = columns
    west, east = (
        entries.index_select(0, ((first + tile) * 256 + value).flatten()).view(value.shape) for tile in (left, right)
    )
    return west * (1 - share) + east * share


def _neighbours(side: int, tile: int, tiles: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of an axis: the tiles (int32) whose centres lie before and after it, and the share of the latter.

    >>> before, after, share = _neighbours(6, 2, 3, torch.device("cpu"))
    >>> before.tolist(), after.tolist(), share.tolist()
    ([0, 0, 0, 1, 1, 2], [0, 1, 1, 2, 2, 2], [0.5, 0.0, 0.5, 0.0, 0.5, 0.0])
    """
    at = torch.arange(side, dtype=torch.float32, device=device) * (1 / tile) - 0.5
    before = at.floor()
    share = at - before
    return before.clamp(min=0).int(), (before + 1).clamp(max=tiles - 1).int(), share
