"""Amounts as people write and read them."""

import re

from visto.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str | float) -> float:
    """Seconds in a duration: a number, or one with s, m (min) or h. Raises UsageError.

    >>> seconds("10m"), seconds("1h30m"), seconds(45)
    (600.0, 5400.0, 45.0)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([a-z]*)", str(text).strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != str(text).strip().lower() or any(unit not in _UNITS for _, unit in parts):
        raise UsageError(f"a duration of {text!r}", expected="such as 90s, 10m, 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total <= 0:
        raise UsageError(f"a duration of {text!r}", expected="more than nothing")
    return total


def plural(noun: str) -> str:
    """
    >>> plural("clip"), plural("series")
    ('clips', 'series')
    """
    return noun if noun.endswith("s") else noun + "s"


def frames_words(every: int) -> str:
    """Which frames of a clip are looked at.

    >>> frames_words(1), frames_words(2), frames_words(12)
    ('each frame', 'each 2nd frame', 'each 12th frame')
    """
    ending = "th" if every % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    return "each frame" if every == 1 else f"each {every}{ending} frame"
