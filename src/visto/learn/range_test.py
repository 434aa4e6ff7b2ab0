"""The learning-rate range test (Smith 2017): raise the rate step by step, and see where the loss falls and breaks."""

from collections.abc import Callable
from typing import Any

from visto.errors import UsageError

_LOWEST, _HIGHEST, _STEPS = 1e-5, 1.0, 100


def range_test(descend: Callable[[int, float], float]) -> dict[str, Any]:
    """The rate to take as the highest of the schedule, with the curve that says why.

    ``descend(k, rate)`` takes step k on a copy of the start and gives its loss. 100 steps of rates from 1e-5 to 1,
    evenly in their logarithm. The loss is smoothed (exponential mean, 0.8); it has broken once it is four times its
    lowest, or not finite. Taken is the rate of the lowest smoothed loss divided by 4: safely below the break, above
    the timid steepest point.
    """
    curve: list[tuple[float, float]] = []
    smooth = 0.0
    for index in range(_STEPS):
        rate = _LOWEST * (_HIGHEST / _LOWEST) ** (index / (_STEPS - 1))
        try:
            loss = descend(index, rate)
        except UsageError:
            break
        smooth = 0.8 * smooth + 0.2 * loss
        curve.append((rate, smooth / (1 - 0.8 ** (index + 1))))
        if curve[-1][1] > 4 * min(value for _, value in curve):
            break
    if not curve:
        raise UsageError("the loss is not finite at any learning rate")
    lowest = min(range(len(curve)), key=lambda k: curve[k][1])
    return {
        "lr": float(f"{curve[lowest][0] / 4:.2g}"),
        "range_test": [[float(f"{r:.3g}"), round(v, 5)] for r, v in curve],
    }
