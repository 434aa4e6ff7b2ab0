"""The loops on tensors: uint8 images N×C×H×W whose colours lie together, and as many threads as torch would take."""

import ctypes

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from visto.native.library import library, loaded_library

_CHANNELS = (1, 3)
_TOO_LONG = 1 << 14  # pixels of a side: beyond, the loops may differ from torch
_WORTH_IT = 1 << 20  # numbers to normalise: with fewer, torch is soon done, and nothing needs to be built


def zoomed(images: Tensor, boxes: Tensor, mirrored: Tensor) -> Tensor | None:
    """Each image's box (top, bottom, left, right: N×4, whole pixels) at the image's size, as torch resizes uint8.

    Where ``mirrored`` (N, bool), the image is first mirrored left and right. None where this cannot be had.
    """
    n, _, height, width = images.shape
    if max(height, width) >= _TOO_LONG or not _suits(images) or (loops := library("pixels")) is None:
        return None
    sizes = torch.tensor([[height, width]]).expand(n, 2)
    return _zoomed(loops, images, torch.arange(n), sizes, (height, width), boxes, mirrored)


def enlarged(images: Tensor, box: tuple[int, int, int, int], size: tuple[int, int]) -> Tensor | None:
    """One and the same box of all images (top, left, height, width) at a size (height, width), as torch resizes uint8.

    With antialiasing or without: where nothing is made smaller they are the same. None where something is, or where
    this cannot be had at once: for one image it is not worth while to build it.
    """
    top, left, tall, wide = box
    if tall > size[0] or wide > size[1] or max(size) >= _TOO_LONG:
        return None
    if not _suits(images) or (loops := loaded_library("pixels")) is None:
        return None
    n, _, height, width = images.shape
    sizes, boxes = torch.tensor([[height, width]] * n), torch.tensor([[top, top + tall, left, left + wide]] * n)
    return _zoomed(loops, images, torch.arange(n), sizes, size, boxes, threads=1)


def zoomed_records(
    storage: Tensor, places: Tensor, sizes: Tensor, boxes: Tensor | None = None, mirrored: Tensor | None = None
) -> Tensor | None:
    """Images at the size of ``storage`` (M×C×H×W), each as torch resizes uint8: N×C×H×W.

    They begin at its records ``places`` (N), colours together, and are as high and wide as ``sizes`` (N×2) say: not
    larger. ``boxes`` and ``mirrored`` are as for ``zoomed`` (None: the whole of each, and none). None where this cannot
    be had, or not at once for a few.
    """
    _, channels, height, width = storage.shape
    if max(height, width) >= _TOO_LONG or not _suits(storage):
        return None
    find = library if len(places) * height * width * channels >= _WORTH_IT else loaded_library
    if (loops := find("pixels")) is None:
        return None
    return _zoomed(loops, storage, places, sizes, (height, width), boxes, mirrored)


def _zoomed(
    loops: ctypes.CDLL,
    records: Tensor,
    places: Tensor,
    sizes: Tensor,
    size: tuple[int, int],
    boxes: Tensor | None,
    mirrored: Tensor | None = None,
    threads: int = 0,
) -> Tensor:
    """Boxes of some ``records``, at one ``size``. Raises MemoryError."""
    n, (channels, tall, wide) = len(places), records.shape[1:]
    out = _empty((n, *size, channels), np.uint8)
    places, sizes = places.to(torch.int64).contiguous(), sizes.to(torch.int32).contiguous()
    boxes = None if boxes is None else boxes.to(torch.int32).contiguous()
    mirrored = None if mirrored is None else mirrored.to(torch.uint8).contiguous()
    where = (pointer(tensor) for tensor in (places, sizes, boxes, mirrored, out))
    amount = ctypes.c_int64(n), threads or torch.get_num_threads()
    if loops.visto_zoom(pointer(records), ctypes.c_int64(channels * tall * wide), *where, *size, channels, *amount):
        raise MemoryError
    return out


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor | None:
    """Each channel minus its ``mean``, over its ``std`` (both of C numbers), as float32.

    None where this cannot be had, and of few numbers.
    """
    if images.numel() < _WORTH_IT or mean.dtype != torch.float32 or not _suits(images):
        return None
    if (loops := library("pixels")) is None:
        return None
    n, channels, height, width = images.shape
    out = _empty((n, height, width, channels), np.float32)
    of_row = [tensor.flatten().repeat(width) for tensor in (mean, std)]
    amount = ctypes.c_int64(n * height), ctypes.c_int64(width * channels)
    loops.visto_normalise(pointer(images), pointer(out), *amount, *map(pointer, of_row), torch.get_num_threads())
    return out


def _suits(images: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and images.dtype == torch.uint8
        and images.device.type == "cpu"
        and images.shape[1] in _CHANNELS
        and images.is_contiguous(memory_format=torch.channels_last)
    )


def _empty(shape_nhwc: tuple[int, int, int, int], dtype: DTypeLike) -> Tensor:
    """Memory for images; NumPy asks the system for large pages, which are filled in two thirds of the time."""
    return torch.from_numpy(np.empty(shape_nhwc, dtype).transpose(0, 3, 1, 2))


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Where its numbers lie; nowhere for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
