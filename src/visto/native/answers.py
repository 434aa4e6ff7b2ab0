"""Convolutions of fp32 images by Winograd's method, for answers: a third of the time of direct ones.

Windows of 3×3 pixels with a border of one; images are N×C×H×W. In fp32 the method is off by about 1e-6 of the result's
norm, twice what a direct convolution is. The same to the bit whatever the count of threads.
"""

import ctypes

import torch
from torch import Tensor

from visto.native.library import library
from visto.native.pixels import pointer
from visto.native.winograd import POINTS, room_to_work, suits

_WORTH = 1_000_000_000  # products of a direct convolution: it takes 8 ms on two cores


def pays(images: Tensor, filters: Tensor) -> bool:
    """Whether ``convolved`` can be called and is worth it: no gradient is wanted, and there is much to do.

    Builds the loops at the first call that is worth it, in half a second.
    """
    if torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.is_autocast_enabled("cpu"):
        return False
    ready = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in (images, filters))
    n, inputs, height, width = images.shape
    worth = n * height * width * filters.numel() >= _WORTH
    return ready and worth and suits(inputs, len(filters)) and _can()


def convolved(images: Tensor, filters: Tensor, *, pooled: bool = False) -> Tensor:
    """The convolution with ``filters`` (outputs × inputs × 3 × 3), max-pooled 2×2 where ``pooled``."""
    n, inputs, height, width = images.shape
    outputs, loops, threads = len(filters), library("answers"), torch.get_num_threads()
    assert loops is not None  # noqa: S101  (the caller has asked whether it pays)
    size = (n, outputs, height // 2, width // 2) if pooled else (n, outputs, height, width)
    made = torch.empty(size, memory_format=torch.channels_last)
    taps, packed = filters.permute(2, 3, 1, 0).contiguous(), torch.empty(POINTS * inputs * outputs)
    channels = ctypes.c_int64(inputs), ctypes.c_int64(outputs)
    loops.visto_filters_to_points_fp32(pointer(taps), pointer(packed), *channels, threads)
    room = room_to_work(loops.visto_room_fp32, inputs, outputs, threads)
    tensors = images.contiguous(memory_format=torch.channels_last), packed, made, room
    sizes = map(ctypes.c_int64, (n, height, width))
    loops.visto_convolve_fp32(*map(pointer, tensors), *sizes, *channels, int(pooled), threads)
    return made


def _can() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported()) and hasattr(library("answers"), "visto_convolve_fp32")
