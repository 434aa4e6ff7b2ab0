"""What a learner is fed where a series is foretold, and the fit of what needs no steps."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.cache import Pixels, take
from visto.learn.engine import Engine
from visto.learn.feed import Beginning, Rows, collated, started_model
from visto.learn.recipe import Recipe
from visto.models.forecaster import Forecaster
from visto.preprocess import PREPROCESS
from visto.tasks.forecast import Forecast
from visto.types import Batch, Voice

_FEW = 8  # windows
_AT_ONCE = 1024  # windows
_MOST_NUMBERS = 50_000_000  # in what the linear way is fitted to


class WindowFeed:
    """Windows of a series, normalised; before the first step the linear way is fitted to all of them.

    Only the earlier half of the validation windows is looked at while training: the later one is still new when it is
    asked whether anything was gained.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Forecast,
        train: Pixels,
        validation: Pixels,
        initial: Mapping[str, Tensor] | None,
    ) -> None:
        self.recipe = recipe
        self.initial = initial
        self.validation_images = len(validation)
        preprocess = recipe.preprocess.build(PREPROCESS)
        looked_at = take(validation, torch.arange(later_from(len(validation)) or len(validation)))
        self.train, self.validation = (preprocess.normalise(windows_of(pixels)) for pixels in (train, looked_at))
        self.targets, self.validation_targets = (collated(task, p, preprocess.fit) for p in (train, looked_at))
        self.rows = Rows(recipe, torch.zeros(len(train), 1))
        self.order, self.balance = self.rows.order, self.rows.balance
        self.normalise = preprocess.normalise

    def prepare(self, engine: Engine, voice: Voice) -> None:
        pass

    def module(self) -> nn.Module:
        return started_model(self.recipe, self.initial)

    def batch(self, step: int, done: float = 0.0) -> Batch[Any]:
        rows = self.rows.of(step)
        return Batch(inputs={"images": self.train[rows]}, targets=self.targets[rows], rows=rows)

    def held_out(self) -> Iterator[Tensor]:
        yield from torch.split(self.validation, _AT_ONCE)

    def trial(self) -> tuple[nn.Module, Tensor]:
        return self.module(), self.train[:32]

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        if isinstance(module, Forecaster):
            stride = max(1, self.train.numel() // _MOST_NUMBERS)
            module.fit_to(self.train[::stride], self.normalise(self.targets[::stride]))
        return Beginning()

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(weights)


def fit_closed_form(recipe: Recipe, task: Forecast, train: Pixels, validation: Pixels) -> dict[str, Tensor]:
    """The weights of a model that has nothing to learn by steps."""
    feed = WindowFeed(recipe, task, train, validation, None)
    module = feed.module()
    feed.begin(module, Engine(precision="fp32", device="cpu"))
    return module.state_dict()


def later_from(count: int) -> int:
    """Where the later half of so many validation windows begins; at the first where there are few.

    >>> later_from(100), later_from(7)
    (50, 0)
    """
    return count // 2 if count >= _FEW else 0


def windows_of(pixels: Pixels) -> Tensor:
    """All windows of one length: N×T×F. Each step is held once for each window that it is in."""
    return pixels.storage[pixels.rows.view(len(pixels), -1)]
