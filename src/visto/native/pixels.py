"""The loops on tensors: uint8 images N×C×H×W whose colours lie together, and as many threads as torch would take."""

import ctypes
from collections.abc import Callable
from threading import Thread

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
    n, channels, height, width = images.shape
    if max(height, width) >= _TOO_LONG or not _suits(images) or (loops := library("pixels")) is None:
        return None
    out = _empty((n, height, width, channels), np.uint8)
    boxes, flags = boxes.to(torch.int32).contiguous(), mirrored.to(torch.uint8).contiguous()
    size = [ctypes.c_int32(number) for number in (height, width, height, width, channels)]
    threads = _threads(n)

    def part(first: int) -> int:
        share = [ctypes.c_int64(number) for number in (n, first, threads)]
        return int(loops.visto_zoom(pointer(images), pointer(out), *size, pointer(boxes), pointer(flags), *share))

    _together(part, threads)
    return out


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
    n, channels, height, width = images.shape
    out = _empty((n, *size, channels), np.uint8)
    boxes, flags = (ctypes.c_int32 * (4 * n))(*(top, top + tall, left, left + wide) * n), (ctypes.c_uint8 * n)()
    share = [ctypes.c_int64(number) for number in (n, 0, 1)]
    if loops.visto_zoom(pointer(images), pointer(out), height, width, *size, channels, boxes, flags, *share):
        raise MemoryError
    return out


def enlarged_records(storage: Tensor, places: Tensor, sizes: Tensor) -> Tensor | None:
    """Images at the size of ``storage`` (M×C×H×W), each as torch resizes uint8: N×C×H×W.

    They begin at its records ``places`` (N), colours together, and are as high and wide as ``sizes`` (N×2) say: not
    larger. None where this cannot be had, or not at once for a few.
    """
    _, channels, height, width = storage.shape
    n = len(places)
    if max(height, width) >= _TOO_LONG or not _suits(storage):
        return None
    find = library if n * height * width * channels >= _WORTH_IT else loaded_library
    if (loops := find("pixels")) is None:
        return None
    out = _empty((n, height, width, channels), np.uint8)
    places, sizes = places.to(torch.int64).contiguous(), sizes.to(torch.int32).contiguous()
    threads = _threads(n)

    def part(first: int) -> int:
        where = map(pointer, (storage, places, sizes, out))
        share = [ctypes.c_int64(number) for number in (n, first, threads)]
        return int(loops.visto_enlarge(*where, height, width, channels, *share))

    _together(part, threads)
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
    numbers, threads = len(of_row[0]), _threads(n)
    borders = [n * height * k // threads for k in range(threads + 1)]

    def part(k: int) -> int:
        begin, rows = borders[k] * numbers, borders[k + 1] - borders[k]
        amount = ctypes.c_int64(rows), ctypes.c_int64(numbers)
        loops.visto_normalise(pointer(images, begin), pointer(out, 4 * begin), *amount, *map(pointer, of_row))
        return 0

    _together(part, threads)
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


def pointer(tensor: Tensor | None, offset: int = 0) -> ctypes.c_void_p:
    """Where its numbers lie, so many bytes on; nowhere for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr() + offset)


def _threads(images: int) -> int:
    return max(1, min(torch.get_num_threads(), images))


def _together(part: Callable[[int], int], threads: int) -> None:
    """Call ``part`` of 0, 1, … to before ``threads``, all at once: a loop in C holds no lock.

    Raises MemoryError where one gives 1. ``part`` itself holds what it works on: a thread may outlive an interrupt.
    """
    failed = [1] * threads

    def run(k: int) -> None:
        failed[k] = part(k)

    others = [Thread(target=run, args=(k,)) for k in range(1, threads)]
    for other in others:
        other.start()
    run(0)
    for other in others:
        other.join()
    if any(failed):
        raise MemoryError
