"""Augmentation, batched: each function changes a whole batch of images (N×C×H×W, pixels 0–255) at once.

``flip``, ``crop``, ``shift``, ``zoom`` and ``erase`` keep the dtype (on uint8 they move a quarter of the bytes), the
others give float. Every image gets its own change. All randomness comes from the generator that is passed in, so that
a step can be repeated exactly. No function changes its input.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from visto import native
from visto.errors import UsageError
from visto.threads import for_each

_LUMA = (0.299, 0.587, 0.114)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror left and right, half of the images."""
    return mirrored(images, half_of(len(images), generator))


def half_of(n: int, generator: Generator) -> Tensor:
    """Which of N are chosen, each by chance: N, bool."""
    return torch.rand(n, generator=generator) < 0.5


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror left and right the images that are ``chosen`` (N, bool)."""
    out = images.clone()
    out[chosen] = images[chosen].flip(3)
    return out


def crop(images: Tensor, generator: Generator) -> Tensor:
    """Shift by up to an eighth of the side in both directions; what comes in is the reflection of the border."""
    return _shifted(images, 8, generator)


def shift(images: Tensor, generator: Generator) -> Tensor:
    """Shift by up to a sixteenth of the side in both directions: enough where an image is seen a few times only."""
    return _shifted(images, 16, generator)


def _shifted(images: Tensor, part: int, generator: Generator) -> Tensor:
    n, channels, height, width = images.shape
    rows = _reflected(height, height // part, n, generator)[:, None, :, None].expand(-1, channels, -1, width)
    columns = _reflected(width, width // part, n, generator)[:, None, None, :].expand(-1, channels, height, -1)
    return images.gather(2, rows).gather(3, columns)


def _reflected(side: int, reach: int, n: int, generator: Generator) -> Tensor:
    """Indices N×side along one axis, each row shifted by up to ``reach`` and reflected at both ends."""
    shift = torch.randint(-reach, reach + 1, (n, 1), generator=generator)
    index = (torch.arange(side) + shift).abs()
    return side - 1 - (side - 1 - index).abs()


def affine(images: Tensor, generator: Generator) -> Tensor:
    """Rotate by up to 10°, scale by up to 10 %, shift by up to 5 % of the side; the border is repeated outwards."""
    n = len(images)
    angle = _uniform(n, -10, 10, generator) * (math.pi / 180)
    scale = _uniform(n, 0.9, 1.1, generator)
    shift = torch.rand(n, 2, generator=generator) * 0.2 - 0.1
    rows = (
        torch.stack([angle.cos() * scale, -angle.sin() * scale, shift[:, 0]], 1),
        torch.stack([angle.sin() * scale, angle.cos() * scale, shift[:, 1]], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def zoom(images: Tensor, generator: Generator, chosen: Tensor | None = None) -> Tensor:
    """Take a part of 0.6 to 1 of the side, stretched by up to 15 %, from anywhere, and bring it back to the size.

    In the manner of the random resized crop of ImageNet training (Szegedy et al. 2015), from what is cached. The images
    that are ``chosen`` (N, bool) are mirrored left and right before. It is fastest on uint8 with the colours of a pixel
    together (channels_last).
    """
    n, _, height, width = images.shape
    boxes = zoom_boxes(torch.tensor([[height, width]]).expand(n, 2), generator)
    out = native.zoomed(images, boxes, torch.zeros(n, dtype=torch.bool) if chosen is None else chosen)
    return _zoomed(images if chosen is None else mirrored(images, chosen), boxes) if out is None else out


def zoom_boxes(sizes: Tensor, generator: Generator) -> Tensor:
    """A part for ``zoom`` of each image of a height and width (N×2): top, bottom, left, right (N×4, int32)."""
    n = len(sizes)
    scale = _uniform(n, math.log(0.6), 0, generator).exp()
    stretch = _uniform(n, -0.15, 0.15, generator).exp()
    parts = (sizes * torch.stack([scale * stretch, scale / stretch], 1)).round().clamp(min=1).minimum(sizes)
    place = torch.stack([torch.rand(n, generator=generator) for _ in range(2)], 1)
    starts = (place * (sizes - parts + 1)).floor()
    return torch.stack([starts, starts + parts], 2).flatten(1).int()


def _zoomed(images: Tensor, boxes: Tensor) -> Tensor:
    """Each image's box (top, bottom, left, right: N×4) at the image's size."""
    n, channels, height, width = images.shape
    places = boxes.tolist()
    out = np.empty((n, height, width, channels), images.numpy().dtype)

    def fill(i: int) -> None:
        first, last, start, end = places[i]
        part = images[i : i + 1, :, first:last, start:end]
        out[i] = F.interpolate(part, size=(height, width), mode="bilinear")[0].permute(1, 2, 0).numpy()

    for_each(n, fill)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def colour(images: Tensor, generator: Generator) -> Tensor:
    """Brightness and contrast by up to 20 %, and saturation by up to 20 % where there is colour."""
    n, channels = images.shape[:2]
    brightness, contrast, saturation = (_uniform(n, 0.8, 1.2, generator)[:, None, None, None] for _ in range(3))
    mean = images.float().mean((1, 2, 3), keepdim=True)
    out = (images - mean) * contrast + mean * brightness
    if channels == 3:
        grey = (out * torch.tensor(_LUMA)[None, :, None, None]).sum(1, keepdim=True)
        out = grey + (out - grey) * saturation
    return out.clamp(0, 255)


def erase(images: Tensor, generator: Generator) -> Tensor:
    """Fill a square of a quarter of the side with the image's mean (cutout, DeVries and Taylor 2017)."""
    n, _, height, width = images.shape
    half = max(1, min(height, width) // 8)
    y = torch.randint(0, height, (n, 1, 1), generator=generator)
    x = torch.randint(0, width, (n, 1, 1), generator=generator)
    inside = ((torch.arange(height)[None, :, None] - y).abs() <= half) & (
        (torch.arange(width)[None, None, :] - x).abs() <= half
    )
    mean = images.float().mean((1, 2, 3), keepdim=True).to(images.dtype)
    return torch.where(inside[:, None], mean, images)


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "flip": flip,
    "crop": crop,
    "shift": shift,
    "affine": affine,
    "zoom": zoom,
    "colour": colour,
    "erase": erase,
}


def augment(images: Tensor, names: Sequence[str], generator: Generator, flipped: Tensor | None = None) -> Tensor:
    """Apply the named augmentations in the given order; ``flipped`` (N, bool) says which to flip, else chance does."""
    chosen: Tensor | None = None  # which are still to be mirrored: a zoom that follows does so on its way
    for name in names:
        if name == "zoom":
            images, chosen = zoom(images, generator, chosen), None
            continue
        if chosen is not None:
            images, chosen = mirrored(images, chosen), None
        if name == "flip":
            chosen = half_of(len(images), generator) if flipped is None else flipped
        else:
            images = AUGMENTATIONS[name](images, generator)
    return images if chosen is None else mirrored(images, chosen)


def mixup(images: Tensor, targets: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Blend each image and its soft label (N×K) with another of the batch (Zhang et al. 2018).

    The share is drawn from Beta(alpha, alpha) by Jöhnk's method on the generator, once a batch.
    """
    share = _beta(alpha, generator)
    partner = torch.randperm(len(images), generator=generator)
    return images.lerp(images[partner], share), targets.lerp(targets[partner], share)


def _beta(alpha: float, generator: Generator) -> float:
    while True:
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        x, y = u ** (1 / alpha), v ** (1 / alpha)
        if 0 < x + y <= 1:
            return float(x / (x + y))


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError for an augmentation that is not in the table."""
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise UsageError(
            f"no augmentation {', '.join(map(repr, unknown))}",
            expected=f"none, or some of {', '.join(AUGMENTATIONS)}",
        )
