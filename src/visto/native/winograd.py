"""Convolutions of bf16 images by Winograd's method: half the time of direct ones, for one per cent of noise.

Windows of 3×3 pixels with a border of one; images are N×C×H×W in channels-last layout. Each number is summed in the
same order by the same count of threads. For processors that multiply bf16 pairwise (AVX512-BF16), where there is a
compiler with OpenMP; these functions may only be called where ``can_convolve``.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from visto.native.library import library
from visto.native.pixels import pointer

_GROUP = 32  # channels that are made at once
POINTS = 36  # of a window, in both directions
_MOST = 4096  # channels


def can_convolve() -> bool:
    """Whether it can be had on this machine; builds it at the first call, in a second."""
    return bool(torch.cpu._is_avx512_bf16_supported()) and hasattr(library("learning"), "visto_convolve")


def suits(inputs: int, outputs: int) -> bool:
    """Whether images of so many channels can be made from so many; for the way back, ask with the two exchanged."""
    return max(inputs, outputs) <= _MOST and outputs % _GROUP == 0


def laid_out(filters: Tensor) -> Tensor:
    """The same, in memory as rows × columns × inputs × outputs: as they are read here, and as their gradient comes."""
    return filters.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)


def convolved(images: Tensor, filters: Tensor, *, pooled: bool = False) -> tuple[Tensor, Tensor | None]:
    """The convolution with ``filters`` (outputs × inputs × 3 × 3), max-pooled 2×2 where ``pooled``.

    Beside it, where pooled: bits that say which pixel was the largest, for the two functions below.
    """
    n, _, height, width = images.shape
    outputs = filters.shape[0]
    made = _made(n, outputs, height // 2, width // 2) if pooled else _made(n, outputs, height, width)
    bits = torch.empty(made.numel() // 16, dtype=torch.int32) if pooled else None
    _convolve(images, None, filters.permute(2, 3, 1, 0), made, bits, height, width)
    return made, bits


def gradient_of_images(gradient: Tensor, filters: Tensor, bits: Tensor | None, height: int, width: int) -> Tensor:
    """Of images of this size, given that of what ``convolved`` made of them."""
    made = _made(gradient.shape[0], filters.shape[1], height, width)
    _convolve(gradient, bits, filters.flip(2, 3).permute(2, 3, 0, 1), made, None, height, width)
    return made


def gradient_of_filters(images: Tensor, gradient: Tensor, bits: Tensor | None) -> Tensor:
    """Outputs × inputs × 3 × 3 in fp32, given the gradient of what ``convolved`` made of the images."""
    n, inputs, height, width = images.shape
    outputs, own = gradient.shape[1], loops()
    taps = torch.empty(3, 3, inputs, outputs)
    sizes = [ctypes.c_int64(number) for number in (n, height, width, inputs, outputs)]
    threads = torch.get_num_threads()
    room = room_to_work(own.visto_room_back, inputs, outputs, threads)
    own.visto_convolve_back(*map(pointer, (images, gradient, bits, taps, room)), *sizes, threads)
    return taps.permute(3, 2, 0, 1)


def picks(bits: Tensor, size: Sequence[int]) -> Tensor:
    """Which pixel of each 2×2 the bits say, row by row from 0 to 3, for pooled images of this size (N×C×H×W)."""
    n, channels, down, across = size
    words = bits.view(n, down, across, channels // _GROUP, 2, 1)
    lanes = torch.arange(_GROUP)
    lanes = lanes // 2 + lanes % 2 * (_GROUP // 2)  # the even ones first
    right, lower = (words >> lanes & 1).reshape(n, down, across, -1, 2, _GROUP).long().unbind(4)
    return (2 * lower + right).flatten(3).permute(0, 3, 1, 2)


def _convolve(
    images: Tensor,
    read_bits: Tensor | None,
    taps: Tensor,
    made: Tensor,
    made_bits: Tensor | None,
    height: int,
    width: int,
) -> None:
    n, inputs = images.shape[:2]
    taps, outputs = taps.float().contiguous(), made.shape[1]
    own, threads = loops(), torch.get_num_threads()
    packed = torch.empty(POINTS * outputs * -(-inputs // _GROUP) * _GROUP, dtype=torch.bfloat16)
    channels = [ctypes.c_int64(inputs), ctypes.c_int64(outputs)]
    own.visto_filters_to_points(pointer(taps), pointer(packed), *channels, threads)
    room = room_to_work(own.visto_room, inputs, outputs, threads)
    tensors = map(pointer, (images, read_bits, packed, made, made_bits, room))
    own.visto_convolve(*tensors, *map(ctypes.c_int64, (n, height, width)), *channels, threads)


def loops() -> ctypes.CDLL:
    """The compiled ones. To be called where ``can_convolve``."""
    found = library("learning")
    assert found is not None  # noqa: S101  (the caller has asked)
    return found


def _made(images: int, channels: int, height: int, width: int) -> Tensor:
    size = (images, channels, height, width)
    return torch.empty(size, dtype=torch.bfloat16, memory_format=torch.channels_last)


def room_to_work(bytes_of: Any, inputs: int, outputs: int, threads: int) -> Tensor:
    """Memory to work in, as much as a function of the loops says."""
    bytes_of.restype = ctypes.c_int64
    return torch.empty(bytes_of(ctypes.c_int64(inputs), ctypes.c_int64(outputs), threads), dtype=torch.uint8)
