"""Learning-rate schedules: functions from the share of training done (0–1) to a factor on the highest rate."""

import math
from collections.abc import Callable


def one_cycle(share: float) -> float:
    """Rise to 1 over the first quarter, then fall to 0, both straight (Smith and Topin 2018).

    >>> [one_cycle(x) for x in (0.0, 0.25, 0.625, 1.0)]
    [0.02, 1.0, 0.5, 0.0]
    """
    if share < 0.25:
        return max(0.02, share / 0.25)
    return max(0.0, (1 - share) / 0.75)


def cosine(share: float) -> float:
    """Rise over the first 5 %, then half a cosine down to 0 (Loshchilov and Hutter 2017).

    >>> round(cosine(0.525), 6)
    0.5
    """
    if share < 0.05:
        return max(0.02, share / 0.05)
    return 0.5 * (1 + math.cos(math.pi * (share - 0.05) / 0.95))


def linear(share: float) -> float:
    """Straight down from 1 to 0."""
    return 1 - share


def constant(share: float) -> float:
    """Always 1."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
}
