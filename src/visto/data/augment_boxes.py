"""Augmentation of images with boxes: each function changes a batch (uint8 N×C×H×W) and its targets together.

Targets are N×M×6: label (-1: no box), x0, y0, x1, y1 in pixels of the batch, and above 0 where the box is ignored.
What is left in sight of a box is cut at the border; less than a fifth of it, or a sliver, is ignored: neither taught
nor taught to be nothing. All randomness comes from the generator that is passed in. No function changes its input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from visto.data.augment import colour, mirrored
from visto.ops.boxes import box_areas
from visto.threads import for_each

BORDER = 114  # grey, as letterboxed images have it
_LEFT = 0.2  # of a box's area that must be in sight
_LEAST = 2.0  # pixels a side of what is worth learning from, where a box was changed

Both = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one image gives to another: scaled, moved, and seen through a window.

    A point (x, y) of image ``source`` comes to (x · ``scale[0]`` + ``move[0]``, y · ``scale[1]`` + ``move[1]``) of the
    result, if that is within ``window`` (x0, y0, x1, y1; whole pixels).
    """

    source: int
    scale: tuple[float, float]
    move: tuple[float, float]
    window: tuple[int, int, int, int]


def flip(images: Tensor, targets: Tensor, generator: Generator) -> Both:
    """Mirror left and right, half of the images."""
    return flipped(images, targets, torch.rand(len(images), generator=generator) < 0.5)


def flipped(images: Tensor, targets: Tensor, chosen: Tensor) -> Both:
    """Mirror left and right the images that are ``chosen`` (N, bool)."""
    out = targets.clone()
    moved = targets[chosen]
    out[chosen] = torch.cat(
        [
            moved[..., :1],
            images.shape[3] - moved[..., [3]],
            moved[..., [2]],
            images.shape[3] - moved[..., [1]],
            moved[..., [4, 5]],
        ],
        -1,
    )
    return mirrored(images, chosen), out


def zoom(images: Tensor, targets: Tensor, generator: Generator) -> Both:
    """Scale by 0.6 to 1.6, stretched by up to 10 %, and take a part from anywhere, or leave a border."""
    n, _, height, width = images.shape
    scale = (torch.rand(n, generator=generator) * 2 - 1) * 0.49
    stretch = (torch.rand(n, generator=generator) * 2 - 1) * 0.1
    place = torch.rand(n, 2, generator=generator).tolist()
    plans = []
    for i, (s, t) in enumerate(zip(scale.tolist(), stretch.tolist(), strict=True)):
        across, down = float(np.exp(s + t / 2)), float(np.exp(s - t / 2))
        move = (place[i][0] * width * (1 - across), place[i][1] * height * (1 - down))
        plans.append([Piece(source=i, scale=(across, down), move=move, window=(0, 0, width, height))])
    return composed(images, targets, plans)


def mosaic(images: Tensor, targets: Tensor, generator: Generator) -> Both:
    """Half of the images: four of the batch meet in a point somewhere in the middle (Bochkovskiy et al. 2020)."""
    n, _, height, width = images.shape
    chosen = (torch.rand(n, generator=generator) < 0.5).tolist()
    partners = torch.stack([torch.randperm(n, generator=generator) for _ in range(3)], 1).tolist()
    centre = (torch.rand(n, 2, generator=generator) * 0.4 + 0.3).tolist()
    place = torch.rand(n, 4, 3, generator=generator).tolist()
    plans = []
    for i in range(n):
        if not chosen[i]:
            plans.append([Piece(source=i, scale=(1.0, 1.0), move=(0.0, 0.0), window=(0, 0, width, height))])
            continue
        x, y = round(centre[i][0] * width), round(centre[i][1] * height)
        windows = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        pieces = []
        for source, window, (size, across, down) in zip([i, *partners[i]], windows, place[i], strict=True):
            # never so small that the window is not filled
            least = max((window[2] - window[0]) / width, (window[3] - window[1]) / height)
            scale = max(least, float(np.exp((2 * size - 1) * 0.3)))
            slack = (scale * width - (window[2] - window[0]), scale * height - (window[3] - window[1]))
            move = (window[0] - across * slack[0], window[1] - down * slack[1])
            pieces.append(Piece(source=source, scale=(scale, scale), move=move, window=window))
        plans.append(pieces)
    return composed(images, targets, plans)


def shade(images: Tensor, targets: Tensor, generator: Generator) -> Both:
    """Brightness, contrast and saturation by up to 20 %."""
    return colour(images, generator), targets


BOX_AUGMENTATIONS: dict[str, Callable[[Tensor, Tensor, Generator], Both]] = {
    "mosaic": mosaic,
    "zoom": zoom,
    "flip": flip,
    "colour": shade,
}


def augment_boxes(
    images: Tensor, targets: Tensor, names: Sequence[str], generator: Generator, which: Tensor | None = None
) -> Both:
    """Apply the named augmentations in the given order; ``which`` (N, bool) says what to flip, else chance does."""
    for name in names:
        if name == "flip" and which is not None:
            images, targets = flipped(images, targets, which)
        else:
            images, targets = BOX_AUGMENTATIONS[name](images, targets, generator)
    return images, targets


def composed(images: Tensor, targets: Tensor, plans: Sequence[Sequence[Piece]]) -> Both:
    """One image for each plan, made of its pieces on grey, with the boxes that are in sight."""
    height, width = images.shape[2:]
    out = np.full((len(plans), height, width, images.shape[1]), BORDER, np.uint8)

    def fill(k: int) -> None:
        for piece in plans[k]:
            _paste(out[k], images[piece.source], piece)

    for_each(len(plans), fill)
    moved = [torch.cat([_moved(targets[piece.source], piece, height, width) for piece in pieces]) for pieces in plans]
    most = max(len(boxes) for boxes in moved)
    columns = targets.new_full((len(plans), most, targets.shape[2]), -1.0)
    for row, boxes in zip(columns, moved, strict=True):
        row[: len(boxes)] = boxes
    return torch.from_numpy(out).permute(0, 3, 1, 2), columns


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """Whole pixels of each axis (x, y): from ``taken`` of the source to ``filled`` of the result."""

    taken: tuple[tuple[int, int], tuple[int, int]]
    filled: tuple[tuple[int, int], tuple[int, int]]


def _placed(piece: Piece, height: int, width: int) -> _Placed | None:
    """Where an image of that size comes to lie; None where nothing of it is in the window."""
    taken, filled = [], []
    for axis, side in ((0, width), (1, height)):
        scale, move = piece.scale[axis], piece.move[axis]
        start = max(piece.window[axis], round(move))
        stop = min(piece.window[axis + 2], round(move + side * scale))
        if stop <= start:
            return None
        first = min(side - 1, max(0, round((start - move) / scale)))
        taken.append((first, min(side, max(first + 1, round((stop - move) / scale)))))
        filled.append((start, stop))
    return _Placed(taken=(taken[0], taken[1]), filled=(filled[0], filled[1]))


def _paste(canvas: NDArray[np.uint8], image: Tensor, piece: Piece) -> None:
    """Draw the piece's image (C×H×W) into its window of the canvas (H×W×C)."""
    placed = _placed(piece, *image.shape[1:])
    if placed is None:
        return
    (left, right), (top, bottom) = placed.filled
    (x0, x1), (y0, y1) = placed.taken
    part = image[None, :, y0:y1, x0:x1]
    size = (bottom - top, right - left)
    if tuple(part.shape[2:]) != size:
        part = F.interpolate(part, size=size, mode="bilinear")
    canvas[top:bottom, left:right] = part[0].permute(1, 2, 0).numpy()


def _moved(targets_m6: Tensor, piece: Piece, height: int, width: int) -> Tensor:
    """The boxes of one image that are seen in its piece, in pixels of the result: fewer×6."""
    targets, placed = targets_m6[targets_m6[:, 0] >= 0], _placed(piece, height, width)
    if placed is None:
        return targets[:0]
    pairs = list(zip(placed.taken, placed.filled, strict=True))
    scale = [(filled[1] - filled[0]) / (taken[1] - taken[0]) for taken, filled in pairs]
    move = [filled[0] - taken[0] * s for s, (taken, filled) in zip(scale, pairs, strict=True)]
    whole = targets[:, 1:5] * targets.new_tensor([*scale, *scale]) + targets.new_tensor([*move, *move])
    (x0, x1), (y0, y1) = placed.filled
    seen = whole.clamp(whole.new_tensor([x0, y0, x0, y0]), whole.new_tensor([x1, y1, x1, y1]))
    sides = seen[:, 2:] - seen[:, :2]
    cut = (seen != whole).any(1) | torch.tensor(scale != [1.0, 1.0])
    hidden = cut & ((box_areas(seen) <= _LEFT * box_areas(whole)) | (sides <= _LEAST).any(1))
    ignored = torch.where(hidden, targets[:, 5].clamp_min(1), targets[:, 5])
    return torch.cat([targets[:, :1], seen, ignored[:, None]], 1)[(sides > 0).all(1)]
