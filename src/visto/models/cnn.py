"""The plain convolutional net: convolution, pooling, dense. Its four questions (depth, width, kernel, activation) are
its arguments."""

from collections.abc import Sequence

from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.activations import activation as activation_named


class CNN(nn.Module):
    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(self.features(images_nchw).flatten(1))}


def convolution(inputs: int, outputs: int, kernel_size: int, activation: str, *, pool: bool) -> list[nn.Module]:
    """Convolution that keeps height and width, 2×2 max-pooling if asked, batch normalisation, activation.

    Pooling comes before the norm and not after the activation: the same up to a scale's sign, and a quarter of the
    element-wise work, which is what a CPU spends most of its time on here.
    """
    return [
        nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False),
        *([nn.MaxPool2d(2)] if pool else []),
        nn.BatchNorm2d(outputs),
        activation_named(activation),
    ]


def cnn(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    depth: int = 3,
    width: int = 16,
    kernel_size: int = 3,
    activation: str = "relu",
    dropout: float = 0.3,
) -> nn.Module:
    """``depth`` blocks of two convolutions and a 2×2 max-pooling, then one dense layer.

    The first block has ``width`` channels, each later one twice the last. A side is no longer halved once it is down
    to 3 pixels; larger images are halved further by an average before the dense layer (at most 4×4 there).
    Raises UsageError for an even ``kernel_size`` or a ``depth`` below 1.
    """
    if kernel_size % 2 == 0 or kernel_size < 1:
        raise UsageError(f"a kernel size of {kernel_size}", expected="an odd number: 1, 3, 5, 7")
    if depth < 1 or width < 1:
        raise UsageError(f"a cnn of depth {depth} and width {width}", expected="both at least 1")
    layers: list[nn.Module] = []
    height, breadth = size
    inputs = channels
    for level in range(depth):
        outputs = width * 2**level
        halve = min(height, breadth) > 3
        layers += convolution(inputs, outputs, kernel_size, activation, pool=False)
        layers += convolution(outputs, outputs, kernel_size, activation, pool=halve)
        if halve:
            height, breadth = height // 2, breadth // 2
        inputs = outputs
    if max(height, breadth) > 4:
        height, breadth = min(height, 4), min(breadth, 4)
        layers.append(nn.AdaptiveAvgPool2d((height, breadth)))
    classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs * height * breadth, classes))
    return CNN(nn.Sequential(*layers), classifier)
