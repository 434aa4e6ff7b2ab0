"""What was tried and what came of it, in words."""

from collections.abc import Mapping, Sequence

from visto.training.tuning.choices import Choice, Value
from visto.types import Figure


def differing(choices: Sequence[Choice], values: Mapping[str, Value]) -> str:
    """What is not as in the default.

    >>> lr = Choice(name="lr", default=0.006, low=0.001, high=0.1)
    >>> kernel = Choice(name="kernel", default=3, options=(3, 5))
    >>> differing([lr, kernel], {"lr": 0.01234, "kernel": 3}), differing([lr], {"lr": 0.006})
    ('lr 0.0123', 'the default')
    """
    found = [f"{c.name} {written(values[c.name])}" for c in choices if values.get(c.name, c.default) != c.default]
    return ", ".join(found) or "the default"


def written(value: Value) -> str:
    """
    >>> written(0.012345), written(5), written("flip+crop"), written(12.0)
    ('0.0123', '5', 'flip+crop', '12')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def is_better(figure: Figure, sense: str) -> bool:
    """Whether a difference, winner minus default, is surely to the winner's good: by the whole of its interval.

    >>> is_better(Figure(value=0.02, low=0.01, high=0.03), "max"), is_better(Figure(value=0.02), "max")
    (True, False)
    >>> is_better(Figure(value=0.02, low=0.01, high=0.03), "min")
    False
    """
    if figure.low is None or figure.high is None:
        return False
    return figure.low > 0 if sense == "max" else figure.high < 0


def verdict(difference: Figure, name: str, sense: str, n: int) -> str:
    """In a sentence whether the winner of the trials is better than the default, and which of the two was kept.

    >>> verdict(Figure(value=0.02, low=0.01, high=0.03), "accuracy", "max", 1000)
    'the winner is better than the default: accuracy +0.0200 (+0.0100 to +0.0300) on 1,000 validation images, which no \
trial saw; the winner was kept'
    """
    images = f"{n:,} validation images, which no trial saw"
    if difference.low is None or difference.high is None:
        return f"no difference in {name} between the winner and the default shows on {images}; the default was kept"
    measured = f"{name} {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}) on {images}"
    if is_better(difference, sense):
        return f"the winner is better than the default: {measured}; the winner was kept"
    worse = Figure(value=-difference.value, low=-difference.high, high=-difference.low)
    if is_better(worse, sense):
        return f"the winner of the trials is worse than the default: {measured}; the default was kept"
    return f"the winner is not surely better than the default: {measured}; the default was kept"
