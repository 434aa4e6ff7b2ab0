"""What a forecast is worth beside two plain ways, in words that claim no more than the windows bear out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visto.types import Figure

_WAYS = {
    "gain_over_naive": "the last value again (naive)",
    "gain_over_linear": "a linear forecast",
}


def against_plain(figures: "Mapping[str, Figure]", model: str = "") -> list[str]:
    """A sentence on each plain way; where ``model`` is not surely better than the linear one, what to do about it."""
    lines = [_words(figures[name], way) for name, way in _WAYS.items() if name in figures]
    gain = figures.get("gain_over_linear")
    if model == "forecaster" and gain is not None and (gain.low is None or gain.low <= 0):
        lines.append("--model linear is as good as far as these windows tell, smaller, and fitted at once")
    return lines


def _words(gain: "Figure", way: str) -> str:
    """
    >>> from visto.types import Figure
    >>> _words(Figure(value=0.5, low=0.4, high=0.6), "the last value again")
    'better than the last value again: its mean squared error is 50.0 % lower (40.0 to 60.0)'
    >>> _words(Figure(value=0.01, low=-0.02, high=0.04), "a linear forecast")
    'not surely better than a linear forecast: its mean squared error is 1.0 % lower (-2.0 to 4.0)'
    """
    if gain.value == 0 and (gain.low is None or gain.low == gain.high):
        return f"the same as {way}"
    if gain.low is None or gain.high is None:
        return f"not surely unlike {way}: its mean squared error is {100 * gain.value:.1f} % lower"
    if gain.high < 0:
        how = f"{-100 * gain.value:.1f} % higher ({-100 * gain.high:.1f} to {-100 * gain.low:.1f})"
        return f"worse than {way}: its mean squared error is {how}"
    sure = "better" if gain.low > 0 else "not surely better"
    how = f"{100 * gain.value:.1f} % lower ({100 * gain.low:.1f} to {100 * gain.high:.1f})"
    return f"{sure} than {way}: its mean squared error is {how}"
