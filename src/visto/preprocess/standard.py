"""The standard preparation: fit an image to the model's size and channels, then normalise it.

The first half, with the steps that were asked for, takes uint8 to uint8, so that its result can be cached and training
never sees a codec twice; the second half is arithmetic and runs with the model.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto import native
from visto.errors import UsageError
from visto.preprocess.steps import PIXELS_VERSION, apply, parse
from visto.types import Size, View

# ITU-R BT.601 luma, as in Pillow's convert("L") and OpenCV
LUMA = (0.299, 0.587, 0.114)
CROPS = ("whole", "middle", "letterbox")
_SELDOM = 10_000  # frames from one that is looked at to the next: more is a slip
PADDING = 114  # grey, as detectors were trained on since YOLOv3


class Fit(nn.Module):
    """uint8 images of any size (N×1×h×w or N×3×h×w) to uint8 N×channels×height×width.

    Resized, prepared by the steps (texts of ``visto.preprocess.steps``), brought to grey or colour. The resize is
    bilinear with antialiasing, in whole numbers (a seventh of the time of floats; a pixel differs by 1 at most). With
    ``crop`` "whole" it does not keep the aspect ratio, and nothing of the image is cut away; with "middle" it keeps it,
    and what sticks out on both sides is cut; with "letterbox" it keeps it, and what is left below or on the right is
    filled with grey. ``at_least`` tells the decoder how much of a JPEG's resolution is needed. With ``every`` above 0
    the inputs are clips, of which each so many-th frame is looked at.

    Raises UsageError for a step that is not known, or that no image of the size can go through; when called, DataError
    for an image that a step cannot treat.
    """

    def __init__(
        self, *, size: Size, channels: int, crop: str = "whole", prepare: Sequence[str] = (), every: int = 0
    ) -> None:
        super().__init__()
        if not 0 <= every <= _SELDOM:
            raise UsageError(f"every {every}th frame", expected=f"1 to {_SELDOM}")
        self.every = every
        if crop not in CROPS:
            raise UsageError(f"no crop {crop!r}", expected=f"one of {', '.join(CROPS)}")
        self.crop = crop
        if channels not in (1, 3):
            raise UsageError(f"{channels} channels", expected="1 (grey) or 3 (colour)")
        self.size = size
        self.channels = channels
        self.steps = parse(prepare)
        for step in self.steps:
            if step.least_side > min(size.height, size.width):
                raise UsageError(
                    f"step {str(step)!r} on images of {size.width}×{size.height} pixels",
                    expected=f"at least {step.least_side}×{step.least_side} pixels",
                    hint="choose smaller values for it, or a larger size",
                )

    @property
    def key(self) -> str:
        """What the result depends on, as JSON: the identity of the cache."""
        fit = {"whole": "squash", "middle": "middle, then resized"}.get(self.crop, self.crop)
        key = {
            "fit": fit,
            "resized_in": "uint8",
            "size": [self.size.height, self.size.width],
            "channels": self.channels,
        }
        if self.every:
            key["every"] = self.every
        if self.steps:
            key |= {"steps": [str(step) for step in self.steps], "steps_version": PIXELS_VERSION}
        return json.dumps(key)

    @property
    def noun(self) -> str:
        """What one input is called, as by ``visto.data.dataset.noun_of``."""
        return "clip" if self.every else "image"

    @property
    def arguments(self) -> dict[str, Any]:
        """What builds it again, as JSON values; what is as ever is left out."""
        out: dict[str, Any] = {"size": [self.size.height, self.size.width], "channels": self.channels}
        if self.crop != "whole":
            out["crop"] = self.crop
        if self.steps:
            out["prepare"] = [str(step) for step in self.steps]
        if self.every:
            out["every"] = self.every
        return out

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size.height, self.size.width)

    @property
    def at_least(self) -> Size:
        return self.size

    def forward(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
        """``original`` is the size of images that were decoded smaller, as ``view`` is given it (None: their own)."""
        original = original or Size(height=images_nchw.shape[2], width=images_nchw.shape[3])
        _, _, height, width = self._taken(original.height, original.width)
        filled = self._filled(height, width)
        images = images_nchw
        if self.steps:
            images = apply(self._fitted(images, images.shape[1], filled), self.steps)
        images = self._fitted(images, self.channels, filled)
        below, right = self.size.height - filled[0], self.size.width - filled[1]
        return F.pad(images, (0, right, 0, below), value=PADDING) if below or right else images

    def stored_size(self, original: Size) -> Size:
        """How large the cache keeps an image: what is looked at, where nothing but enlarging is done to it."""
        _, _, height, width = self._taken(original.height, original.width)
        filled = self._filled(height, width) == (self.size.height, self.size.width)
        enlarged = filled and height <= self.size.height and width <= self.size.width and not self.steps
        return Size(height=height, width=width) if enlarged else self.size

    def to_store(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
        """The pixels that the cache keeps: N×channels, of ``stored_size``."""
        own = Size(height=images_nchw.shape[2], width=images_nchw.shape[3])
        if self.stored_size(original or own) == self.size:
            fitted: Tensor = self(images_nchw, original)
            return fitted
        top, left, height, width = self._taken(own.height, own.width)
        return self._coloured(images_nchw[:, :, top : top + height, left : left + width], self.channels)

    def _fitted(self, images_nchw: Tensor, channels: int, filled: tuple[int, int]) -> Tensor:
        """Brought to the size that they come to fill and so many channels; the same tensor where it has both."""
        fits = tuple(images_nchw.shape[2:]) == filled
        images = self._coloured(images_nchw, min(images_nchw.shape[1], channels))
        if not fits:
            # what is cut is cut first: resized as a whole, a strip of 1×60,000 pixels would fill the memory
            top, left, height, width = self._taken(images.shape[2], images.shape[3])
            if (larger := native.enlarged(images, (top, left, height, width), filled)) is not None:
                images = larger
            else:
                images = images[:, :, top : top + height, left : left + width]
                images = F.interpolate(images, size=filled, mode="bilinear", antialias=True, align_corners=False)
        return self._coloured(images, channels)

    def _coloured(self, images_nchw: Tensor, channels: int) -> Tensor:
        """Brought to grey, or to grey in three colours; the same tensor where it has so many channels."""
        if images_nchw.shape[1] == 3 and channels == 1:
            grey = (images_nchw.float() * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
            return grey.round().clamp(0, 255).to(torch.uint8)
        return images_nchw if images_nchw.shape[1] == channels else images_nchw.expand(-1, channels, -1, -1)

    def view(self, original: Size) -> View:
        """How the fitted image maps back to one of the original size."""
        top, left, height, width = self._taken(original.height, original.width)
        tall, wide = self._filled(height, width)
        x, y = width / wide, height / tall
        return View(size=original, to_original=torch.tensor([[x, 0.0, left], [0.0, y, top]]))

    def _taken(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of an image that is looked at: top, left, height and width in its own pixels."""
        if self.crop != "middle":
            return 0, 0, height, width
        tall = min(height, max(1, round(width * self.size.height / self.size.width)))
        wide = min(width, max(1, round(height * self.size.width / self.size.height)))
        return (height - tall) // 2, (width - wide) // 2, tall, wide

    def _filled(self, height: int, width: int) -> tuple[int, int]:
        """The height and width of the input that an image of that height and width comes to fill."""
        if self.crop != "letterbox":
            return self.size.height, self.size.width
        scale = min(self.size.height / height, self.size.width / width)
        return max(1, round(height * scale)), max(1, round(width * scale))


class Normalise(nn.Module):
    """Pixels 0–255 of any dtype to float: each channel minus its mean, over its deviation (both in units of 0–1)."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).mul(255).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).mul(255).view(1, -1, 1, 1), persistent=False)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Of clips too (N×T×C×H×W)."""
        if images_nchw.ndim == 5:
            frames: Tensor = self(images_nchw.flatten(0, 1))
            return frames.view(images_nchw.shape)
        n, channels, height, width = images_nchw.shape
        if images_nchw.is_contiguous():
            return self._normalised(images_nchw, self.mean, self.std)
        if (floats := native.normalised(images_nchw, self.mean, self.std)) is not None:
            return floats
        # where the colours of a pixel lie together, rows of pixels are what the processor takes in one go
        rows = images_nchw.permute(0, 2, 3, 1).reshape(n, height, width * channels)
        out = self._normalised(rows, self.mean.flatten().repeat(width), self.std.flatten().repeat(width))
        return out.view(n, height, width, channels).permute(0, 3, 1, 2)

    def _normalised(self, pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        floats = pixels.float()
        return (floats - mean if floats is pixels else floats.sub_(mean)).div_(std)


class Standard(nn.Module):
    """Fit, then normalise. ``size`` is (height, width); ``mean`` and ``std`` have one value a channel, in 0–1.

    ``crop`` and ``every`` are as in ``Fit``; ``prepare`` has the steps to go through on the way, such as
    ``["gray", "clahe=2:8"]``.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        crop: str = "whole",
        prepare: Sequence[str] = (),
        every: int = 0,
    ) -> None:
        super().__init__()
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise UsageError(
                f"mean {mean} and deviation {std} for {channels} channels",
                expected="one value a channel, deviations above 0",
            )
        self.fit = Fit(
            size=Size(height=size[0], width=size[1]), channels=channels, crop=crop, prepare=prepare, every=every
        )
        self.normalise = Normalise(mean=mean, std=std)

    def forward(self, images_nchw: Tensor) -> Tensor:
        out: Tensor = self.normalise(self.fit(images_nchw))
        return out
