"""Images of one colour, and the plainest Fit, for tests of the cache."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from visto.data.cache import Pixels
from visto.data.dataset import Item
from visto.types import Size


@dataclass
class Crop:
    """A Fit for tests: the upper left corner, as colour."""

    side: int = 4
    key: str = '{"fit": "crop"}'
    at_least: Size | None = None
    every: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.side, self.side)

    def __call__(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
        return images_nchw[:, :, : self.side, : self.side].expand(-1, 3, -1, -1)

    def stored_size(self, original: Size) -> Size:
        return Size(height=self.side, width=self.side)

    def to_store(self, images_nchw: Tensor, original: Size | None = None) -> Tensor:
        return self(images_nchw, original)


def image(value: int) -> Image.Image:
    return Image.fromarray(np.full((6, 5, 3), value, np.uint8))


def save(folder: Path, values: list[int], format: str = "png") -> list[Item]:
    items = []
    for value in values:
        image(value).save(folder / f"{value}.{format}")
        items.append(Item(id=f"{value}.{format}", source=folder / f"{value}.{format}"))
    return items


def values(pixels: Pixels) -> list[int]:
    fitted = pixels.storage[pixels.rows]
    assert (fitted == fitted[:, :1, :1, :1]).all() and fitted.dtype == torch.uint8
    return fitted[:, 0, 0, 0].tolist()
