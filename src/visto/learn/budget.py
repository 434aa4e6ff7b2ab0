"""How long a step takes on this machine, now."""

import time
from collections.abc import Callable


def seconds_a_step(step: Callable[[int], object], least: float) -> float:
    """Mean seconds of ``step(k)``: after two to warm up, at least three, and until ``least`` seconds have passed."""
    for index in range(2):
        step(index)
    began, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - began < least:
        step(count)
        count += 1
    return (time.perf_counter() - began) / count
