"""The multi-layer perceptron: every pixel is an input, dense layers follow. It knows nothing of neighbourhood."""

from collections.abc import Sequence

from torch import Tensor, nn

from visto.models.activations import activation as activation_named


class MLP(nn.Module):
    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layers(images_nchw.flatten(1))}


def mlp(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    dropout: float = 0.2,
) -> nn.Module:
    """Dense layers of ``hidden`` units, each with batch normalisation, ``activation`` and ``dropout``."""
    layers: list[nn.Module] = []
    units = channels * size[0] * size[1]
    for width in hidden:
        layers += [
            nn.Linear(units, width, bias=False),
            nn.BatchNorm1d(width),
            activation_named(activation),
            nn.Dropout(dropout),
        ]
        units = width
    layers.append(nn.Linear(units, classes))
    return MLP(nn.Sequential(*layers))
