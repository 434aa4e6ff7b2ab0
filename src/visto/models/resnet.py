"""A small residual net for small images (He et al. 2016; the shape is David Page's nine-layer net for CIFAR-10, 2018).

Few wide layers suit a CPU better than many narrow ones: at equal accuracy on CIFAR-10 it costs about half of the
original ResNet-20. Larger images are brought down to about 32 pixels by strided convolutions first.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from visto.models.activations import activation as activation_named


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class ResNet(nn.Module):
    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(self.features(images_nchw).amax((2, 3)))}


def resnet(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    width: int = 16,
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """``width`` channels at full resolution, then 2, 4 and 8 times as many after each halving; global max-pooling."""

    def convolution(inputs: int, outputs: int, *, stride: int = 1, pool: bool = False) -> nn.Sequential:
        # pooling before norm and activation leaves them a quarter of the work
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.MaxPool2d(2) if pool else nn.Identity(),
            nn.BatchNorm2d(outputs),
            activation_named(activation),
        )

    def residual(units: int) -> Residual:
        return Residual(nn.Sequential(convolution(units, units), convolution(units, units)))

    layers: list[nn.Module] = [convolution(channels, width)]
    side = min(size)
    while side > 48:
        layers.append(convolution(width, width, stride=2))
        side = (side + 1) // 2
    units = width
    for level in range(3):
        halve = side > 3
        layers.append(convolution(units, 2 * units, pool=halve))
        side = side // 2 if halve else side
        units *= 2
        if level != 1:
            layers.append(residual(units))
    return ResNet(nn.Sequential(*layers), nn.Sequential(nn.Dropout(dropout), nn.Linear(units, classes)))
