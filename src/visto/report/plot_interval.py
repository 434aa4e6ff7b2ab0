"""One figure as a dot on its scale, with the interval that chance leaves as a bar around it."""

from markupsafe import Markup

from visto.report.svg import Scale, dot, drawing, label, line
from visto.types import Figure

WIDTH, HEIGHT = 220.0, 32.0
_MARGIN, _MIDDLE = 7.0, 9.0


def scale_floor(values: list[float]) -> float:
    """Where a scale that ends at 1 should begin, to show what the least of some shares leaves to be seen.

    >>> scale_floor([0.97, 0.91]), scale_floor([0.3])
    (0.9, 0.0)
    """
    least = min(values, default=0.0)
    return next((floor for floor in (0.98, 0.9, 0.8, 0.5) if least >= floor), 0.0)


def interval_bar(name: str, figure: Figure, *, low: float, high: float, ends: tuple[str, str], words: str) -> Markup:
    """``low`` and ``high`` are the ends of the scale, ``ends`` how they are written. Without bounds: the dot alone."""
    across, middle = Scale(low, high, _MARGIN, WIDTH - _MARGIN), _MIDDLE
    parts = [
        label("tick s", (0, HEIGHT - 3), ends[0]),
        label("tick e", (WIDTH, HEIGHT - 3), ends[1]),
        line("track", (_MARGIN, middle), (WIDTH - _MARGIN, middle)),
        *(line("track", (x, middle - 4), (x, middle + 4)) for x in (_MARGIN, WIDTH - _MARGIN)),
    ]
    if figure.low is not None and figure.high is not None:
        parts.append(line("band", (across(figure.low), middle), (across(figure.high), middle)))
    parts.append(dot("value", (across(figure.value), middle), 4))
    return drawing(name, WIDTH, HEIGHT, title=words, words=f"on a scale of {ends[0]} to {ends[1]}", parts=parts)
