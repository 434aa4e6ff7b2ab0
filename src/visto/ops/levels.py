"""Images in 0–1 as the whole levels 0–255 they came from, kept in float32: what descriptors compare and count.

Whole numbers make a tie a tie: with k/255 in float32 it would be decided by rounding errors, and differ by device.
"""

from torch import Tensor


def whole_levels(images_nchw: Tensor) -> Tensor:
    """Float images in 0–1 to the nearest of the levels 0–255: float32 of the same shape.

    >>> import torch
    >>> whole_levels(torch.tensor([[[[0.0, 0.2, 1.0]]]])).tolist()
    [[[[0.0, 51.0, 255.0]]]]
    """
    return (images_nchw.float() * 255).round().clamp(0, 255)


def grey_levels(images_nchw: Tensor) -> Tensor:
    """The luminance of float images in 0–1, to whole levels 0–255: float32 N×H×W.

    The same as ``visto.ops.colour.luma``, in floats: its weights sum to 65536, so that every sum stays below 2²⁴ and is
    exact in float32, in any order.
    """
    levels = whole_levels(images_nchw)
    if levels.shape[1] == 1:
        return levels[:, 0]
    red, green, blue = levels.unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor()
