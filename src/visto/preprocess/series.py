"""The preparation of number series: each feature brought to mean 0 and deviation 1."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.types import Size, View


class StepsFit(nn.Module):
    """Series are taken as they are, whatever their length: N×T×F stays N×T×F."""

    every = 0
    noun = "series"
    at_least: Size | None = None

    def __init__(self, features: int) -> None:
        super().__init__()
        self.channels = features

    @property
    def key(self) -> str:
        return json.dumps({"features": self.channels})

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels,)

    @property
    def arguments(self) -> dict[str, Any]:
        """What builds it again, as JSON values: no size, and the number of features."""
        return {"size": [], "channels": self.channels}

    def forward(self, steps_ntf: Tensor, original: Size | None = None) -> Tensor:
        return steps_ntf

    def stored_size(self, original: Size) -> Size:
        """A series is not kept."""
        return original

    def to_store(self, steps_ntf: Tensor, original: Size | None = None) -> Tensor:
        """A series is not kept."""
        return steps_ntf

    def view(self, original: Size) -> View:
        """Nothing is moved."""
        return View(size=original, to_original=torch.eye(2, 3))


class NormaliseSteps(nn.Module):
    """Series N×T×F: each feature minus its mean, over its deviation. Steps that are NaN stay so."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, steps_ntf: Tensor) -> Tensor:
        return (steps_ntf.float() - self.mean) / self.std


class Series(nn.Module):
    """``channels`` is the number F of features; ``mean`` and ``std`` have one value for each. ``size`` is empty."""

    def __init__(self, *, channels: int, mean: Sequence[float], std: Sequence[float], size: Sequence[int] = ()) -> None:
        super().__init__()
        if size or len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise UsageError(
                f"mean {mean} and deviation {std} for {channels} features",
                expected="one value a feature, deviations above 0",
            )
        self.fit = StepsFit(channels)
        self.normalise = NormaliseSteps(mean=mean, std=std)

    def forward(self, steps_ntf: Tensor) -> Tensor:
        out: Tensor = self.normalise(self.fit(steps_ntf))
        return out
