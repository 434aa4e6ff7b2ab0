"""Multinomial logistic regression on features: one weight for each feature and class."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visto.models.described import Described


class Linear(nn.Module):
    """What an image is described by, and a linear layer on it: ``logits`` N×K are its ``decision``."""

    def __init__(self, described: Described, classes: int) -> None:
        super().__init__()
        self.described = described
        self.layer = nn.Linear(described.dimensions, classes)

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(self.described(images_nchw))}


def logistic(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str] = ("raw",),
    components: int = 0,
    C: float = 1.0,
    fitted: Mapping[str, int] | None = None,
) -> nn.Module:
    """Logistic regression (Cox 1958) with an L2 term; ``C`` is its inverse strength, as in scikit-learn."""
    return Linear(Described(features, channels=channels, size=size, scaled=True, components=components), classes)
