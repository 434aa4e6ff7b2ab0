"""The pixels themselves: what every other feature has to beat."""

from collections.abc import Sequence

from torch import Tensor, nn

from visto.models.features.descriptor import Descriptor


def _pixels(images_nchw: Tensor) -> Tensor:
    return images_nchw.float().flatten(1).clone()  # not a view: who scales the features must not change the images


def raw(*, channels: int, size: Sequence[int]) -> nn.Module:
    """Every pixel of every channel, row by row."""
    return Descriptor(_pixels, channels * size[0] * size[1])
