"""From cached pixels to batches: which images a step sees, and the batch itself. No per-image Python on the way."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from visto import native
from visto.data.augment import augment, half_of, zoom_boxes
from visto.data.cache import Pixels
from visto.threads import for_each


class Order:
    """Which of ``n`` images each step of training sees: a new permutation an epoch, drawn by ``generator_of(epoch)``.

    A step takes ``batch_size`` of them (all where there are fewer); a remainder too small for a batch waits for
    another epoch's shuffle, so that every batch has one size.
    """

    def __init__(self, n: int, batch_size: int) -> None:
        self.n = n
        self.batch_size = min(batch_size, n)
        self.steps_per_epoch = n // self.batch_size
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def epoch(self, step: int) -> int:
        return step // self.steps_per_epoch

    def shuffle(self, epoch: int, generator: Generator) -> None:
        """Draw the permutation of ``epoch``."""
        self._epoch = epoch
        self._permutation = torch.randperm(self.n, generator=generator)

    def needs_shuffle(self, step: int) -> bool:
        return self.epoch(step) != self._epoch

    def rows(self, step: int) -> Tensor:
        """Indices (batch_size) into the training images."""
        start = (step % self.steps_per_epoch) * self.batch_size
        return self._permutation[start : start + self.batch_size]


def gather(pixels: Pixels, rows: Tensor) -> Tensor:
    """The fitted inputs of some items, by their place in ``pixels.items``, laid out in memory as the storage.

    Images are uint8 N×C×H×W, clips uint8 N×T×C×H×W, series float32 N×T×F. Raises ValueError for sequences of unequal
    lengths: see ``runs``, and ``padded``. NumPy takes whole images: a third to a tenth of the time of torch's indexing.
    """
    if pixels.offsets is None:
        if pixels.stored is not None:
            return _enlarged(pixels.storage, pixels.rows[rows], pixels.stored[rows])
        return _records(pixels, pixels.rows[rows])
    steps, lengths = padded(pixels, rows)
    if len(set(lengths.tolist())) > 1:
        raise ValueError("sequences of unequal lengths are no batch")
    return steps


def gather_augmented(pixels: Pixels, rows: Tensor, names: Sequence[str], generator: Generator) -> Tensor:
    """The fitted images of some items, augmented.

    It is ``augment(gather(pixels, rows), names, generator)``, but that a ``zoom`` that is first, or behind a ``flip``,
    takes its part from a small image as it is stored: enlarged once instead of twice.
    """
    flips = tuple(names[:1]) == ("flip",)
    if pixels.stored is None or tuple(names[flips : flips + 1]) != ("zoom",):
        return augment(gather(pixels, rows), names, generator)
    sizes = pixels.stored[rows]
    chosen = half_of(len(rows), generator) if flips else None
    boxes = zoom_boxes(sizes, generator)
    images = _enlarged(pixels.storage, pixels.rows[rows], sizes, boxes, chosen)
    return augment(images, names[flips + 1 :], generator)


def padded(pixels: Pixels, rows: Tensor, places: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Some sequences as one batch N×T×…, the shorter ones followed by repeats of their last step, and their lengths.

    ``places`` (None: all, in order) says for each which of its steps are taken.
    """
    assert pixels.offsets is not None  # noqa: S101  (asked of sequences only; tells mypy)
    spans = [pixels.rows[pixels.offsets[row] : pixels.offsets[row + 1]] for row in rows.tolist()]
    if places is not None:
        spans = [span[place] for span, place in zip(spans, places, strict=True)]
    lengths = torch.tensor([len(span) for span in spans])
    longest = int(lengths.max())
    wanted = torch.cat([torch.cat([span, span[-1:].expand(longest - len(span))]) for span in spans])
    steps = _records(pixels, wanted)
    return steps.reshape(len(spans), longest, *steps.shape[1:]), lengths


def _records(pixels: Pixels, places: Tensor) -> Tensor:
    """Some records of the storage."""
    if pixels.storage.is_contiguous():
        return torch.from_numpy(pixels.storage.numpy()[places.numpy()])
    return torch.from_numpy(pixels.storage.permute(0, 2, 3, 1).numpy()[places.numpy()]).permute(0, 3, 1, 2)


def _enlarged(
    storage: Tensor, places: Tensor, sizes: Tensor, boxes: Tensor | None = None, chosen: Tensor | None = None
) -> Tensor:
    """Some records, of ``sizes`` (N×2), or a box of each (N×4), at the size of all; the chosen ones mirrored."""
    out = native.zoomed_records(storage, places, sizes, boxes, chosen)
    return _enlarged_by_torch(storage, places, sizes, boxes, chosen) if out is None else out


def _enlarged_by_torch(
    storage: Tensor, places: Tensor, sizes: Tensor, boxes: Tensor | None, chosen: Tensor | None
) -> Tensor:
    _, channels, height, width = storage.shape
    records = storage.permute(0, 2, 3, 1).flatten(1)
    out = np.empty((len(places), height, width, channels), np.uint8)

    def fill(i: int) -> None:
        tall, wide = sizes[i].tolist()
        image = records[places[i], : tall * wide * channels].view(1, tall, wide, channels).permute(0, 3, 1, 2)
        if chosen is not None and chosen[i]:
            image = image.flip(3)
        if boxes is not None:
            top, bottom, left, right = boxes[i].tolist()
            image = image[:, :, top:bottom, left:right]
        if image.shape[2:] != (height, width):
            image = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True)
        out[i] = image[0].permute(1, 2, 0).numpy()

    for_each(len(places), fill)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def runs(pixels: Pixels, rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    """``rows`` in order, at most so many at once, and together only neighbours of one length."""
    lengths = pixels.lengths[rows]
    borders = (lengths.diff() != 0).nonzero().flatten() + 1
    for run in torch.tensor_split(rows, borders):
        yield from torch.split(run, batch_size)


def in_order(pixels: Pixels, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows, inputs) of all items, one batch after the other."""
    for rows in runs(pixels, torch.arange(len(pixels.items)), batch_size):
        yield rows, gather(pixels, rows)


def input_pixels(pixels: Pixels) -> int:
    """About how many numbers of a plane the largest input has: what a batch's size is chosen by."""
    longest = int(pixels.lengths.max()) if len(pixels) else 1
    height, width = pixels.storage.shape[2:] if pixels.storage.ndim == 4 else (1, pixels.storage.shape[1])
    return int(longest * height * width)
