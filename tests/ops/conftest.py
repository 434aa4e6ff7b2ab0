"""Pictures that scikit-image brings with it, and the ways between its arrays and our batches."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

Array = NDArray[Any]


def batch(array: Array) -> Tensor:
    """An H×W or H×W×C array as a batch of one."""
    pixels = torch.from_numpy(np.ascontiguousarray(array))
    return pixels[None, None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)[None]


def array(images: Tensor) -> Array:
    """The first image, as H×W or H×W×C."""
    pixels = images[0].permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def levels(values: Array) -> Array:
    """0–255 as uint8 has it, from floats of that range."""
    return np.clip(np.round(values), 0, 255)


def _noise() -> Array:
    return np.random.default_rng(0).integers(0, 256, (97, 131), dtype=np.uint8)


@pytest.fixture(params=["camera", "coins", "page", "noise"], scope="session")
def photo(request: pytest.FixtureRequest) -> Array:
    """Grey pictures H×W, uint8: a photo, coins under uneven light, a page of a book, noise."""
    found: Array = _noise() if request.param == "noise" else getattr(data, request.param)()
    return found[:304, :384]


@pytest.fixture(scope="session")
def portrait() -> Array:
    """A photo in colour, H×W×3, uint8."""
    found: Array = data.astronaut()
    return found[:256, 100:356]
