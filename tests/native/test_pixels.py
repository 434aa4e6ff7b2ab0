"""The loops in C beside torch's operations: the same numbers, to the bit."""

import ctypes
import math
import mmap
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto import native
from visto.data.augment import augment, mirrored, zoom
from visto.native import library
from visto.preprocess import Normalise
from visto.preprocess.standard import Fit
from visto.types import Size


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(tmp_path_factory.mktemp("cache")))
        library._library.cache_clear()
        if library.library("pixels") is None:
            pytest.skip("no C compiler")
        yield
    library._library.cache_clear()


def images_of(seed: int, n: int, channels: int, height: int, width: int) -> Tensor:
    """Noise, some of it black and white only: what rounds worst."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (n, height, width, channels), dtype=np.uint8)
    pixels[0] = np.where(pixels[0] < 128, 0, 255)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@settings(deadline=None)
@given(data=st.data(), channels=st.sampled_from([1, 3]), threads=st.integers(1, 3), seed=st.integers(0, 1000))
def test_zoomed_is_what_torch_gives(data: st.DataObject, channels: int, threads: int, seed: int) -> None:
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    n = data.draw(st.integers(1, 4))
    images, boxes = images_of(seed, n, channels, height, width), []
    for _ in range(n):
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        boxes.append([top, data.draw(st.integers(top + 1, height)), left, data.draw(st.integers(left + 1, width))])
    chosen = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    torch.set_num_threads(threads)
    found = native.zoomed(images, torch.tensor(boxes), chosen)
    assert found is not None and found.is_contiguous(memory_format=torch.channels_last)
    turned = mirrored(images, chosen)
    for k, (top, bottom, left, right) in enumerate(boxes):
        part = turned[k : k + 1, :, top:bottom, left:right]
        assert torch.equal(found[k : k + 1], F.interpolate(part, size=(height, width), mode="bilinear"))


@settings(deadline=None)
@given(data=st.data(), channels=st.sampled_from([1, 3]), n=st.integers(1, 3), seed=st.integers(0, 1000))
def test_enlarged_is_what_torch_gives(data: st.DataObject, channels: int, n: int, seed: int) -> None:
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall, wide = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    size = data.draw(st.integers(tall, 230)), data.draw(st.integers(wide, 230))
    images = images_of(seed, n, channels, height, width)
    found = native.enlarged(images, (top, left, tall, wide), size)
    assert found is not None and found.is_contiguous(memory_format=torch.channels_last)
    part = images[:, :, top : top + tall, left : left + wide]
    assert torch.equal(found, F.interpolate(part, size=size, mode="bilinear", antialias=True))
    assert torch.equal(found, F.interpolate(part, size=size, mode="bilinear"))


@pytest.mark.parametrize("crop", ["whole", "middle", "letterbox"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_fitted_as_torch_does(crop: str, channels: int) -> None:
    fit = Fit(size=Size(height=96, width=80), channels=channels, crop=crop)
    for height, width in [(50, 60), (60, 50), (96, 80), (95, 300), (200, 100)]:
        for images in (images_of(height, 1, 3, height, width), images_of(width, 1, 1, height, width)):
            found = fit(images)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(native, "enlarged", lambda *_: None)
                assert torch.equal(found, fit(images))


def test_nothing_is_made_smaller_and_nothing_endless() -> None:
    image = images_of(0, 1, 3, 8, 8)
    assert native.enlarged(image, (0, 0, 8, 8), (8, 7)) is None
    assert native.enlarged(image, (0, 0, 8, 8), (8, 1 << 14)) is None


@pytest.mark.parametrize("side", [224, 333])
def test_photos_are_zoomed_as_torch_does(side: int) -> None:
    images = images_of(side, 8, 3, side, side - 1)
    names, flipped = ("flip", "zoom"), torch.arange(8) % 2 == 0
    for chosen in (None, flipped):
        found = augment(images, names, torch.Generator().manual_seed(3), chosen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "zoomed", lambda *_: None)
            expected = augment(images, names, torch.Generator().manual_seed(3), chosen)
        assert torch.equal(found, expected) and found.stride() == expected.stride()


def test_nothing_is_read_beyond_the_images() -> None:
    """What lies behind them may not be touched: a touch would end this process."""
    shape = (4, 32, 32, 3)
    size = math.prod(shape)
    assert size % mmap.PAGESIZE == 0
    pixels = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8, size).reshape(shape)
    behind = ctypes.c_void_p(pixels.ctypes.data + size)
    assert ctypes.CDLL(None).mprotect(behind, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    images.copy_(images_of(0, 4, 3, 32, 32))
    for chosen in (torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)):
        found = native.zoomed(images, torch.tensor([[0, 32, 0, 32]] * 4), chosen)
        assert found is not None and torch.equal(found, mirrored(images, chosen))
    assert native.enlarged(images, (0, 0, 32, 32), (64, 64)) is not None


def test_threads_share_the_images() -> None:
    images, chosen = images_of(0, 3, 3, 20, 30), torch.tensor([True, False, True])
    boxes = torch.tensor([[2, 17, 3, 20]] * 3)
    found = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        found.append(native.zoomed(images, boxes, chosen))
    assert found[0] is not None and all(torch.equal(found[0], other) for other in found if other is not None)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 5), channels=st.sampled_from([1, 3]), threads=st.integers(1, 3), seed=st.integers(0, 1000))
def test_normalised_is_what_torch_gives(n: int, channels: int, threads: int, seed: int) -> None:
    images = images_of(seed, n, channels, 1024, 1024 // n + 1)
    torch.set_num_threads(threads)
    draw = torch.Generator().manual_seed(seed)
    mean, std = torch.rand(channels, generator=draw), torch.rand(channels, generator=draw) + 0.01
    module = Normalise(mean=mean.tolist(), std=std.tolist())
    found = native.normalised(images, module.mean, module.std)
    assert found is not None and torch.equal(found, (images.float() - module.mean) / module.std)
    fast = module(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "normalised", lambda *_: None)
        slow = module(images)
    assert torch.equal(fast, found) and torch.equal(slow, found) and fast.stride() == slow.stride()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 8, 8),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 6, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last),
    ],
    ids=["floats", "planes apart", "six channels"],
)
def test_other_images_are_left_to_torch(images: Tensor) -> None:
    assert native.zoomed(images, torch.tensor([[0, 8, 0, 8]] * 2), torch.zeros(2, dtype=torch.bool)) is None
    assert zoom(images, torch.Generator().manual_seed(0)).shape == images.shape
