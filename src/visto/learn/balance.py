"""Classes of unequal size: three ways to keep a rare one from being overlooked.

``weights``   each image counts in the loss by the inverse of its class's share (King and Zeng 2001)
``sampling``  every class is drawn equally often, its images again and again
``logits``    the log of a class's share is added to its logit while learning (Menon et al. 2021), so that the model
              answers as if all classes were equally frequent
"""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

BALANCES = ("none", "weights", "sampling", "logits")


class Balance:
    """What ``name`` (one of ``BALANCES``) asks for, from the soft labels N×K of the training images.

    ``weights`` (N, mean 1) are the images' parts in the loss, ``chances`` (N, sum 1) those of being drawn, ``offsets``
    (K) what is added to the logits while learning; each None where it is not asked for.
    """

    def __init__(self, name: str, targets_nk: Tensor) -> None:
        chances = equal_chances(targets_nk) if name in ("weights", "sampling") else torch.empty(0)
        self.weights = chances * len(chances) if name == "weights" else None
        self.chances = chances if name == "sampling" else None
        self.offsets = log_shares(targets_nk) if name == "logits" else None

    def draw(self, count: int, generator: Generator) -> Tensor:
        """``count`` rows, every class equally often, with replacement."""
        assert self.chances is not None  # noqa: S101  (the caller has asked)
        return torch.multinomial(self.chances, count, replacement=True, generator=generator)

    def weights_of(self, rows: Tensor) -> Tensor | None:
        return None if self.weights is None else self.weights[rows]

    def at_once(self, views: int) -> Tensor | None:
        """Weights for a fit to ``views`` views of all images at once: to draw one more often is to weigh it more."""
        weights = self.weights if self.chances is None else self.chances * len(self.chances)
        return None if weights is None else weights.repeat(views)

    def shifted(self, model: nn.Module) -> nn.Module:
        """The model with the offsets added to its logits, or the model itself."""
        return model if self.offsets is None else _Shifted(model, self.offsets)


class _Shifted(nn.Module):
    def __init__(self, model: nn.Module, offsets: Tensor) -> None:
        super().__init__()
        self.model = model
        self.offsets = offsets

    def forward(self, inputs: Tensor) -> Mapping[str, Tensor]:
        return {"logits": self.model(inputs)["logits"].float() + self.offsets.to(inputs.device)}


def equal_chances(targets_nk: Tensor) -> Tensor:
    """For each of N images the chance to be drawn (sums to 1) that makes every class equally frequent.

    An image of several classes counts with the rarest of them; one of none as often as the mean.

    >>> equal_chances(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.25, 0.25, 0.5]
    """
    chances = (targets_nk.gt(0.5) / targets_nk.gt(0.5).sum(0).clamp_min(1)).amax(1)
    some = chances > 0
    chances = chances.where(some, chances[some].mean() if bool(some.any()) else torch.tensor(1.0))
    return chances / chances.sum()


def log_shares(targets_nk: Tensor) -> Tensor:
    """The log of each class's share of the images, K; its log odds where images have several classes or none.

    >>> log_shares(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).exp().tolist()
    [0.75, 0.25]
    """
    n = len(targets_nk)
    shares = targets_nk.sum(0).clamp(0.5, n - 0.5) / n
    one_each = bool((targets_nk.sum(1) == 1).all())
    return shares.log() if one_each else shares.logit()
