"""The plain convolutional net: convolution, pooling, dense. Its questions (depth, width, kernel, activation) are its
arguments."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.activations import activation as activation_named


class Within(nn.Conv2d):
    """A convolution that keeps the sides, whose filters may be larger than what they filter.

    What of a filter never meets a pixel is left out: that is quicker, and the bf16 kernels of torch 2.13 leave the
    gradient there as they find the memory (7×7 filters on 2×2 pixels: NaN after a step).
    """

    def forward(self, x: Tensor) -> Tensor:
        reach = self.kernel_size[0] // 2
        high, wide = (min(reach, side - 1) for side in x.shape[2:])
        seen = self.weight[:, :, reach - high : reach + high + 1, reach - wide : reach + wide + 1]
        return F.conv2d(x, seen, stride=self.stride, padding=(high, wide))


class CNN(nn.Module):
    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(self.features(images_nchw).amax((2, 3)))}


def cnn(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    depth: int = 3,
    width: int = 16,
    kernel_size: int = 3,
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """A convolution of ``width`` channels, then ``depth`` blocks of two: the first halves the sides by max-pooling and,
    from the second block on, doubles the channels. What is strongest anywhere goes to the dense layer.

    A side is no longer halved once it is down to 3 pixels; of images over 48 pixels the first convolution takes every
    second, fourth, … pixel. Raises UsageError for an even ``kernel_size``, or a ``depth`` or ``width`` out of range.
    """
    if kernel_size % 2 == 0 or kernel_size < 1:
        raise UsageError(f"a kernel size of {kernel_size}", expected="an odd number: 1, 3, 5, 7")
    if not (1 <= depth <= 8 and 1 <= width <= 512):
        raise UsageError(f"a cnn of depth {depth} and width {width}", expected="depth 1 to 8, width 1 to 512")

    def convolution(inputs: int, outputs: int, *, stride: int = 1, pool: bool = False) -> list[nn.Module]:
        # pooling before norm and activation leaves them a quarter of the work, most of what a CPU does here
        return [
            Within(inputs, outputs, kernel_size, stride=stride, padding=kernel_size // 2, bias=False),
            *([nn.MaxPool2d(2)] if pool else []),
            nn.BatchNorm2d(outputs),
            activation_named(activation),
        ]

    stride = 1
    while min(size) // stride > 48:
        stride *= 2
    side = min(size) // stride
    layers, units = convolution(channels, width, stride=stride), width
    for level in range(depth):
        outputs = width * 2**level
        layers += convolution(units, outputs, pool=side > 3)
        layers += convolution(outputs, outputs)
        side = side // 2 if side > 3 else side
        units = outputs
    return CNN(nn.Sequential(*layers), nn.Sequential(nn.Dropout(dropout), nn.Linear(units, classes)))
