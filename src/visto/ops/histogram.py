"""Histograms of images, and tables that map each value to another."""

import torch
from torch import Tensor

_AT_ONCE = 1 << 22  # pixels: an index of int32 for each of them


def histograms(images: Tensor) -> Tensor:
    """How often each value occurs in each channel of uint8 images N×C×H×W: int64 N×C×256."""
    planes = images.reshape(-1, images.shape[2] * images.shape[3])
    if torch.compiler.is_exporting():  # a graph can neither loop over a batch of any size nor count its bins
        index = planes.long()
        none = torch.zeros(planes.shape[0], 256, dtype=torch.int64)
        return none.scatter_add(1, index, torch.ones_like(index)).view(*images.shape[:2], 256)
    together = max(1, _AT_ONCE // planes.shape[1])
    counts = [_histograms(planes[first : first + together]) for first in range(0, len(planes), together)]
    return torch.cat(counts).view(*images.shape[:2], 256)


def _histograms(planes: Tensor) -> Tensor:
    """int64 n×256 of uint8 n×pixels: all planes are counted at once, each in its own 256 bins."""
    first = torch.arange(0, 256 * len(planes), 256, dtype=torch.int32, device=planes.device)
    return torch.bincount((planes + first[:, None]).flatten(), minlength=256 * len(planes)).view(-1, 256)


def looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """uint8 images N×C×H×W through uint8 tables: 256 entries for all images, or N×256.

    >>> looked_up(torch.tensor([[[[0, 2]]]], dtype=torch.uint8), 255 - torch.arange(256, dtype=torch.uint8)).tolist()
    [[[[255, 253]]]]
    """
    if torch.compiler.is_exporting():
        index = images.flatten(1).long()
        found = tables.gather(1, index) if tables.dim() == 2 else tables.index_select(0, index.flatten())
        return found.view(images.shape)
    flat = images.reshape(len(images), -1)
    out = torch.empty_like(flat, memory_format=torch.contiguous_format)
    bins = torch.arange(len(flat), dtype=torch.int32, device=images.device)[:, None] * (256 if tables.dim() == 2 else 0)
    entries = tables.reshape(-1)
    together = max(1, _AT_ONCE // flat.shape[1])
    for first in range(0, len(flat), together):
        some = slice(first, first + together)
        for start in range(0, flat.shape[1], _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            index = flat[some, part] + bins[some]
            out[some, part] = entries.index_select(0, index.flatten()).view(index.shape)
    return out.view(images.shape)
