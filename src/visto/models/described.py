"""What a classic model sees of an image: features, brought to one scale and turned onto their main axes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.features import FEATURES

# one unit for all dimensions, whose differences in spread mean something: a pixel at the border is seldom inked
_ONE_UNIT = ("raw", "hog")
_MOST_DIMENSIONS = 4096  # of an eigendecomposition: about 10 s on two cores; beyond, a randomised one


class Described(nn.Module):
    """Images N×C×H×W in 0–1 to N×``dimensions``: the named features, ``scaled`` and on ``components`` axes if asked.

    Scaling makes the dimensions of most features equally wide; those of raw pixels and HOG, which share a unit, keep
    their proportions, and each kind of feature weighs as much as another. The axes are those of the most variance
    (PCA, Pearson 1901); with ``turned`` all axes are kept where no less are asked for. ``fit_to`` finds scale and axes.
    """

    shift: Tensor
    scale: Tensor
    axes: Tensor

    def __init__(
        self,
        features: Sequence[str],
        *,
        channels: int,
        size: Sequence[int],
        scaled: bool,
        components: int,
        turned: bool = False,
    ) -> None:
        super().__init__()
        if unknown := [name for name in features if name not in FEATURES]:
            raise UsageError(f"no features {unknown[0]!r}", expected=f"some of {', '.join(FEATURES)}")
        if not features or len(set(features)) < len(features):
            raise UsageError(f"features {', '.join(features) or 'none'}", expected="different ones, at least one")
        if components < 0:
            raise UsageError(f"components {components}", expected="0 (all) or more")
        self.names = tuple(features)
        self.features = nn.ModuleList(FEATURES[name](channels=channels, size=size) for name in features)
        self.widths: list[int] = [part.dimensions for part in self.features]  # type: ignore[misc]
        found = sum(self.widths)
        kept = components if scaled and 0 < components < found else 0
        if turned and not kept and found <= _MOST_DIMENSIONS:
            kept = found
        self.dimensions = kept or found
        self.register_buffer("shift", torch.zeros(found) if scaled else None)
        self.register_buffer("scale", torch.ones(found) if scaled else None)
        self.register_buffer("axes", torch.eye(found, kept) if kept else None)

    def forward(self, images_nchw: Tensor) -> Tensor:
        return self.settled(self.measured(images_nchw))

    def measured(self, images_nchw: Tensor) -> Tensor:
        """The features as they are, N×D."""
        parts = [part(images_nchw) for part in self.features]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def settled(self, features_nd: Tensor) -> Tensor:
        """Features N×D scaled and turned, as fitted."""
        if self.shift is not None:
            features_nd = (features_nd - self.shift) * self.scale
        return features_nd if self.axes is None else features_nd @ self.axes

    def fit_to(self, features_nd: Tensor) -> Tensor:
        """Fit scale and axes to the ``measured`` features of all images (changed in place); gives them settled."""
        found = features_nd
        with torch.no_grad():
            if self.shift is not None:
                self.shift, self.scale = found.mean(0), self._scale(found.std(0, correction=0))
                found.sub_(self.shift).mul_(self.scale)
            if self.axes is not None:
                self.axes = main_axes(found, self.dimensions)
                found = found @ self.axes
        return found

    def _scale(self, deviation_d: Tensor) -> Tensor:
        parts = []
        for name, own in zip(self.names, torch.split(deviation_d, self.widths), strict=True):
            spread = own.square().mean().sqrt().expand_as(own) if name in _ONE_UNIT else own
            # what hardly ever differs must not be blown up to the width of what does
            spread = spread.clamp_min(max(1e-6, 0.01 * float(own.max())))
            parts.append(1 / (spread * len(own) ** 0.5))
        scale: Tensor = torch.cat(parts) * float(deviation_d.numel()) ** 0.5
        return scale


def main_axes(centred_nd: Tensor, count: int) -> Tensor:
    """The ``count`` directions of most variance of centred rows, D×count; each with its largest entry positive."""
    n, dimensions = centred_nd.shape
    if dimensions <= _MOST_DIMENSIONS:
        axes = torch.linalg.eigh((centred_nd.T @ centred_nd).double() / n).eigenvectors.flip(1)[:, :count].float()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            axes = torch.svd_lowrank(centred_nd, q=min(count + 10, n), niter=4)[2][:, :count]
        if axes.shape[1] < count:  # fewer images than axes: the rest are empty
            axes = torch.cat([axes, axes.new_zeros(dimensions, count - axes.shape[1])], 1)
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    turned: Tensor = axes * torch.where(signs == 0, 1.0, signs)
    return turned
