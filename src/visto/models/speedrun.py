"""A net for small images that learns in few steps: the shape of the CIFAR-10 speed records.

A frozen convolution that whitens patches (its filters come from the training images), then three groups of two 3×3
convolutions that begin as the identity. After Jordan (2024), arXiv 2404.00498, and Page (2018); without anything of
CIFAR-10 in it: any size, channels, classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.convolution import Convolution
from visto.models.norm import Norm

_PATCH = 2  # pixels a side
_LARGEST = 48  # pixels a side: larger images are averaged down by a whole number first


class Whitening(nn.Module):
    """Patches of 2×2 pixels, decorrelated: each eigenvector of their covariance as a filter, and its negative.

    Without ``fit`` the filters are the pixels of a patch and their negatives. ``padded``: there are as many patches as
    pixels, the last row and column repeated.
    """

    filters: Tensor

    def __init__(self, channels: int, *, padded: bool = False) -> None:
        super().__init__()
        self.padded = padded
        parts = channels * _PATCH**2
        self.channels = 2 * parts
        one_each = torch.eye(parts).view(parts, channels, _PATCH, _PATCH)
        self.register_buffer("filters", torch.cat([one_each, -one_each]))

    def fit(self, images_nchw: Tensor) -> None:
        """Take the filters from the patches of normalised images. Eigenvalues below 5e-4 count as 5e-4."""
        with torch.no_grad():
            patches = F.unfold(images_nchw.float().contiguous(), _PATCH)
            flat = patches.permute(0, 2, 1).reshape(-1, patches.shape[1])
            values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
            scaled = (vectors / (values + 5e-4).clamp_min(5e-4).sqrt()).T.reshape(-1, *self.filters.shape[1:])
            self.filters.copy_(torch.cat([scaled, -scaled]))

    def forward(self, images_nchw: Tensor) -> Tensor:
        if self.padded:
            images_nchw = F.pad(images_nchw, (0, _PATCH - 1, 0, _PATCH - 1), mode="replicate")
        return F.conv2d(images_nchw, self.filters)


class Group(nn.Module):
    """Two convolutions; the first widens and halves the sides. Filters begin as the identity as far as they can."""

    def __init__(self, inputs: int, outputs: int, activation: str, *, halve: bool, momentum: float) -> None:
        super().__init__()
        self.widen = _convolution(inputs, outputs, pooled=halve)  # before norm and activation: a quarter of their work
        self.widen_norm = Norm(outputs, momentum, activation)
        self.deepen = _convolution(outputs, outputs)
        self.deepen_norm = Norm(outputs, momentum, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen_norm(self.widen(x))
        out: Tensor = self.deepen_norm(self.deepen(x))
        return out


class Speedrun(nn.Module):
    def __init__(self, whitening: Whitening, groups: nn.Sequential, head: nn.Linear, stride: int) -> None:
        super().__init__()
        self.whitening = whitening
        self.groups = groups
        self.head = head
        self.stride = stride

    def fit_to(self, images_nchw: Tensor) -> None:
        """Take the whitening filters from normalised training images."""
        self.whitening.fit(self._brought_down(images_nchw))

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.whitening(self._brought_down(images_nchw)), inplace=True)
        x = self.groups(x).amax((2, 3))
        # divided by the width: with filters and activations of size 1 the first logits are small
        return {"logits": self.head(x) / x.shape[1]}

    def _brought_down(self, images_nchw: Tensor) -> Tensor:
        return F.avg_pool2d(images_nchw, self.stride) if self.stride > 1 else images_nchw


def speedrun(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    widths: Sequence[int] = (64, 256, 256),
    activation: str = "gelu",
    momentum: float = 0.15,
    padded: bool = False,
) -> nn.Module:
    """Whitened patches, a group of two 3×3 convolutions for each of ``widths``, the strongest place of each channel.

    A side is no longer halved once it is down to 3 pixels. ``momentum`` is that of the norms' running figures, for
    batches of 500. With ``padded`` patches 32 pixels a side become 16, 8 and 4, else 31, 15, 7 and 3. Raises UsageError
    for a width that is not positive.
    """
    if not widths or min(widths) < 1:
        raise UsageError(f"widths {list(widths)}", expected="one or more positive numbers")
    stride = -(-min(size) // _LARGEST)
    whitening = Whitening(channels, padded=padded)
    groups: list[nn.Module] = []
    units, side = whitening.channels, min(size) // stride - (0 if padded else _PATCH - 1)
    for width in widths:
        halve = side > 3
        groups.append(Group(units, width, activation, halve=halve, momentum=momentum))
        units, side = width, side // 2 if halve else side
    head = nn.Linear(units, classes, bias=False)
    with torch.no_grad():
        head.weight.div_(head.weight.std())
    return Speedrun(whitening, nn.Sequential(*groups), head, stride)


def _convolution(inputs: int, outputs: int, *, pooled: bool = False) -> Convolution:
    layer = Convolution(inputs, outputs, pooled=pooled)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[: min(inputs, outputs)])
    return layer
