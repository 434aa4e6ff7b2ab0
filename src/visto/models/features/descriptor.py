"""A descriptor: a fixed function of an image as a module, and the size below which it says nothing."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from visto.errors import UsageError


class Descriptor(nn.Module):
    """Float images N×C×H×W in 0–1 to float32 N×``dimensions``. Nothing in it is learnt."""

    def __init__(self, function: Callable[[Tensor], Tensor], dimensions: int) -> None:
        super().__init__()
        self.function = function
        self.dimensions = dimensions

    def forward(self, images_nchw: Tensor) -> Tensor:
        return self.function(images_nchw)


def check_size(features: str, size: Sequence[int], least: int) -> None:
    """Raise UsageError where a side of the images is shorter than ``least`` pixels."""
    if min(size) < least:
        raise UsageError(
            f"{features} on images of {size[1]}×{size[0]} pixels",
            expected=f"{least}×{least} or larger",
            hint=f"--features raw, or --size {least}",
        )
