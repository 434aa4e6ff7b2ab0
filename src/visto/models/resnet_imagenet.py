"""The residual nets of ImageNet (He et al. 2016): ResNet-18 of basic blocks, ResNet-50 of bottlenecks.

As torchvision has them, stride in the 3×3 convolution, so that its published weights fit.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from visto.models.backbone import Backbone, Embed


def _step(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """ReLU of the body plus its input, which is projected where the shape changes."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


def _block(inputs: int, width: int, *, stride: int, bottleneck: bool) -> Residual:
    outputs = 4 * width if bottleneck else width
    if bottleneck:
        body = [*_step(inputs, width, 1), nn.ReLU(), *_step(width, width, 3, stride=stride), nn.ReLU()]
        body += _step(width, outputs, 1)
    else:
        body = [*_step(inputs, width, 3, stride=stride), nn.ReLU(), *_step(width, outputs, 3)]
    same = stride == 1 and inputs == outputs
    shortcut = nn.Identity() if same else nn.Sequential(*_step(inputs, outputs, 1, stride=stride))
    return Residual(nn.Sequential(*body), shortcut)


def _residual_net(depths: Sequence[int], *, bottleneck: bool, classes: int, channels: int, dropout: float) -> nn.Module:
    stem = nn.Sequential(*_step(channels, 64, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    stages: list[nn.Module] = [stem]
    inputs = 64
    for level, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if level and not index else 1
            stages.append(_block(inputs, 64 << level, stride=stride, bottleneck=bottleneck))
            inputs = (64 << level) * (4 if bottleneck else 1)
    stages.append(Embed())
    return Backbone(nn.Sequential(*stages), nn.Linear(inputs, classes), dropout)


def resnet18(*, classes: int, channels: int, size: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """ResNet-18: 11.7 M weights, 1.8 G multiplications at 224 pixels; ImageNet weights by ``--download``.

    10 stages: the stem, 8 basic blocks, and the pooling to 512 numbers.
    """
    return _residual_net((2, 2, 2, 2), bottleneck=False, classes=classes, channels=channels, dropout=dropout)


def resnet50(*, classes: int, channels: int, size: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """ResNet-50: 25.6 M weights, 4.1 G multiplications at 224 pixels; ImageNet weights by ``--download``.

    18 stages: the stem, 16 bottlenecks, and the pooling to 2,048 numbers.
    """
    return _residual_net((3, 4, 6, 3), bottleneck=True, classes=classes, channels=channels, dropout=dropout)
