"""The decoded inputs of a data set as one tensor: images, the frames of clips, or the steps of series."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from visto.data.dataset import Item
from visto.data.ledger import Entry
from visto.types import Size


class Fit(Protocol):
    """uint8 images N×C×H×W (C is 1 or 3, any size) to uint8 N×``shape``, each image on its own.

    ``key`` names everything the result depends on, as JSON. ``at_least`` is how much resolution it needs. Of a clip
    each ``every``-th frame is looked at (0: it is for images, or for series).
    """

    @property
    def key(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def at_least(self) -> Size | None: ...

    @property
    def every(self) -> int: ...

    def __call__(self, images_nchw: Tensor, original: Size | None = None, /) -> Tensor:
        """``original`` is the size of an image that was decoded smaller (None: its own)."""

    def stored_size(self, original: Size, /) -> Size:
        """How large the cache keeps an image: no larger than it is, where fitting it would only enlarge it."""

    def to_store(self, images_nchw: Tensor, original: Size | None = None, /) -> Tensor:
        """What the cache keeps, uint8, of that size: it is fitted when torch has enlarged it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """The fitted inputs of ``items`` (the N that were kept, in order): ``visto.data.loader.gather`` gives them.

    ``storage`` is uint8 M×C×H×W and belongs to the cache: never write to it. ``rows`` (N, int64) says which record
    is whose. Of sequences ``rows`` has all their steps, and those of item i are from ``offsets[i]`` to before
    ``offsets[i + 1]`` (N+1, int64); the storage of clips is their frames, that of series float32 M×F. ``digests``
    (N×16, uint8) name the contents, ``sizes`` (N×2, int64) are the original heights and widths (of series: steps and
    1). ``stored`` (N×2, int64; None: all are H×W) are the heights and widths of images that are still to be enlarged:
    their pixels, colours together, are the first of their record. ``entries`` has one word on every item asked for,
    kept or not.
    """

    storage: Tensor
    rows: Tensor
    items: tuple[Item, ...]
    digests: Tensor
    sizes: Tensor
    entries: tuple[Entry, ...]
    offsets: Tensor | None = None
    stored: Tensor | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def lengths(self) -> Tensor:
        """How many steps each item has: N; 1 of images."""
        return torch.ones(len(self), dtype=torch.int64) if self.offsets is None else self.offsets.diff()


def take(pixels: Pixels, index: Tensor) -> Pixels:
    """Some of the items, by their place."""
    rows, offsets = pixels.rows, pixels.offsets
    if offsets is not None:
        parts = [rows[start:stop] for start, stop in offsets.unfold(0, 2, 1)[index].tolist()]
        rows = torch.cat(parts) if parts else rows[:0]
        offsets = offsets_of([len(part) for part in parts])
    return replace(
        pixels,
        rows=rows if offsets is not None else rows[index],
        items=tuple(map(pixels.items.__getitem__, index.tolist())),
        digests=pixels.digests[index],
        sizes=pixels.sizes[index],
        stored=None if pixels.stored is None else pixels.stored[index],
        offsets=offsets,
    )


def offsets_of(lengths: Sequence[int]) -> Tensor:
    """Where each of N sequences begins in the row of all, and where the last ends: N+1.

    >>> offsets_of([2, 3]).tolist()
    [0, 2, 5]
    """
    return torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)
