"""Some of many, evenly chosen: of data that is ordered by class, so many of each."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(many: Sequence[T], most: int) -> list[T]:
    """At most so many.

    >>> evenly("abcdefg", 3), evenly("ab", 3)
    (['a', 'c', 'e'], ['a', 'b'])
    """
    step = max(1.0, len(many) / most)
    return [many[int(k * step)] for k in range(min(len(many), most))]
