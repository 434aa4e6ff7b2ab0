"""Augmentation in time: which steps of a sequence are taken, in order. All randomness comes from the generator."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

_FASTEST, _SLOWEST = 1.33, 0.75
_SHORTEST = 0.75  # of a sequence that is left of it
_MISSED = 0.2  # of the steps, at most
_FEWEST = 2


def _between(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def speed(places: Tensor, generator: Generator) -> Tensor:
    """Slower or faster by up to a third: steps repeated or left out evenly, the whole of it still seen."""
    n = len(places)
    wanted = max(min(n, _FEWEST), round(n / _between(_SLOWEST, _FASTEST, generator)))
    return places[(torch.arange(wanted) * n) // wanted]


def cut(places: Tensor, generator: Generator) -> Tensor:
    """A part of three quarters or more, from anywhere."""
    n = len(places)
    left = max(min(n, _FEWEST), round(n * _between(_SHORTEST, 1.0, generator)))
    first = int(torch.randint(n - left + 1, (), generator=generator))
    return places[first : first + left]


def skip(places: Tensor, generator: Generator) -> Tensor:
    """Up to a fifth of the steps missing, here and there."""
    share = _between(0, _MISSED, generator)
    kept = torch.rand(len(places), generator=generator) >= share
    return places[kept] if int(kept.sum()) >= min(len(places), _FEWEST) else places


STEP_AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {"speed": speed, "cut": cut, "skip": skip}


def augment_steps(length: int, names: Sequence[str], generator: Generator) -> Tensor:
    """The places of the steps that are taken of a sequence so long, ascending; of ``names`` those that are of time."""
    places = torch.arange(length)
    for name in names:
        if name in STEP_AUGMENTATIONS:
            places = STEP_AUGMENTATIONS[name](places, generator)
    return places
