"""The order of a clip's frames by their names, and what the numbers in them tell: frames that lack, or stand twice."""

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from visto.data.walk import natural

_DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """``names`` of frames in their order, with ``numbers`` (empty where no one number in the names counts them).

    ``odd`` are named otherwise than the rest, ``double`` (left out, kept) bear a number that another bears.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    odd: tuple[str, ...] = ()
    double: tuple[tuple[str, str], ...] = ()

    @property
    def step(self) -> int:
        """From one number to the next, mostly; 0 where there is no such step."""
        gaps = [after - before for before, after in pairwise(self.numbers)]
        if not gaps:
            return 0
        often = Counter(gaps)
        step = min(often, key=lambda gap: (-often[gap], gap))
        return step if 2 * often[step] >= len(gaps) and not any(gap % step for gap in gaps) else 0

    @property
    def missing(self) -> str:
        """Which frame is missing in the middle, in words; nothing where all are there.

        >>> ordered(["1.png", "2.png", "5.png", "6.png"]).missing
        'frame 3 is missing, 2 in all'
        """
        step = self.step
        gaps = [(before, (after - before) // step - 1) for before, after in pairwise(self.numbers)] if step else []
        lacking = [(before + step, count) for before, count in gaps if count]
        if not lacking:
            return ""
        total = sum(count for _, count in lacking)
        return f"frame {lacking[0][0]} is missing" + (f", {total} in all" if total > 1 else "")


def ordered(names: Sequence[str]) -> Ordered:
    """Put the file names of one folder in order, by the number in which they differ.

    >>> ordered(["f10.png", "f9.png", "cover.png"])
    Ordered(names=('f9.png', 'f10.png'), numbers=(9, 10), odd=('cover.png',), double=())
    """
    names = sorted(names, key=natural)
    parts = {name: _DIGITS.split(posixpath.splitext(name)[0].casefold()) for name in names}
    shapes = Counter(tuple(parts[name][0::2]) for name in names)
    shape = max(shapes, key=lambda one: shapes[one], default=())
    if 2 * shapes[shape] <= len(names) or len(shape) < 2:
        return Ordered(names=tuple(names))
    alike = [name for name in names if tuple(parts[name][0::2]) == shape]
    odd = tuple(name for name in names if tuple(parts[name][0::2]) != shape)
    columns = [[int(parts[name][place]) for name in alike] for place in range(1, 2 * len(shape) - 1, 2)]
    counting = [column for column in columns if len(set(column)) > 1]
    if len(counting) > 1:
        return Ordered(names=tuple(alike), odd=odd)
    by_number: dict[int, str] = {}
    double = []
    for name, number in zip(alike, (counting or columns)[-1], strict=True):
        if by_number.setdefault(number, name) != name:
            double.append((name, by_number[number]))
    numbers = sorted(by_number)
    kept = tuple(by_number[number] for number in numbers)
    return Ordered(names=kept, numbers=tuple(numbers), odd=odd, double=tuple(double))
