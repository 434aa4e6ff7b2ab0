"""The standard preparation: fit an image to the model's size and channels, then normalise it.

The first half takes uint8 to uint8, so that its result can be cached and training never sees a codec twice; the
second half is arithmetic and runs with the model.
"""

import json
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.types import Size, View

# ITU-R BT.601 luma, as in Pillow's convert("L") and OpenCV
_LUMA = (0.299, 0.587, 0.114)


class Fit(nn.Module):
    """uint8 images of any size (N×1×h×w or N×3×h×w) to uint8 N×channels×height×width: grey or colour, then resized.

    The resize is bilinear with antialiasing and does not keep the aspect ratio: nothing of the image is cut away.
    ``at_least`` tells the decoder how much of a JPEG's resolution is needed.
    """

    def __init__(self, *, size: Size, channels: int) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise UsageError(f"{channels} channels", expected="1 (grey) or 3 (colour)")
        self.size = size
        self.channels = channels

    @property
    def key(self) -> str:
        """What the result depends on, as JSON: the identity of the cache."""
        return json.dumps({"fit": "squash", "size": [self.size.height, self.size.width], "channels": self.channels})

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size.height, self.size.width)

    @property
    def at_least(self) -> Size:
        return self.size

    def forward(self, images_nchw: Tensor) -> Tensor:
        fits = tuple(images_nchw.shape[2:]) == (self.size.height, self.size.width)
        if images_nchw.shape[1] == self.channels and fits:
            return images_nchw
        pixels = images_nchw.float()
        if images_nchw.shape[1] == 3 and self.channels == 1:
            pixels = (pixels * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        if not fits:
            pixels = F.interpolate(pixels, size=self.shape[1:], mode="bilinear", antialias=True, align_corners=False)
        if images_nchw.shape[1] == 1 and self.channels == 3:
            pixels = pixels.expand(-1, 3, -1, -1)
        return pixels.round().clamp(0, 255).to(torch.uint8)

    def view(self, original: Size) -> View:
        """How the fitted image maps back to one of the original size."""
        x, y = original.width / self.size.width, original.height / self.size.height
        return View(size=original, to_original=torch.tensor([[x, 0.0, 0.0], [0.0, y, 0.0]]))


class Normalise(nn.Module):
    """Pixels 0–255 of any dtype to float: each channel minus its mean, over its deviation (both in units of 0–1)."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).mul(255).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).mul(255).view(1, -1, 1, 1), persistent=False)

    def forward(self, images_nchw: Tensor) -> Tensor:
        return (images_nchw.float() - self.mean) / self.std


class Standard(nn.Module):
    """Fit, then normalise. ``size`` is (height, width); ``mean`` and ``std`` have one value a channel, in 0–1."""

    def __init__(self, *, size: Sequence[int], channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise UsageError(
                f"mean {mean} and deviation {std} for {channels} channels",
                expected="one value a channel, deviations above 0",
            )
        self.fit = Fit(size=Size(height=size[0], width=size[1]), channels=channels)
        self.normalise = Normalise(mean=mean, std=std)

    def forward(self, images_nchw: Tensor) -> Tensor:
        out: Tensor = self.normalise(self.fit(images_nchw))
        return out
