"""A comparison in one sentence, which claims no more than the images bear out."""

from collections.abc import Mapping

from visto.metrics import McNemar, images_needed
from visto.quantities import plural
from visto.types import Figure


def verdict(
    difference: Mapping[str, Figure],
    right: McNemar | None,
    name: str,
    *,
    n: int,
    noun: str = "image",
    grouped: bool,
    alike: bool,
    less: bool = False,
) -> str:
    """What can be said of B against A on ``n`` images (or what ``noun`` calls them), by the figure ``name``.

    Better or worse only where the 95 % interval of the difference leaves out 0 and McNemar's p is below 0.05: on few
    images either alone is too quick. ``right`` is None where an image is not just right or wrong: the interval alone
    then decides. ``alike``: all answers and scores are the same. ``grouped``: the images come in
    groups, of which nobody knows how many would be needed. ``less``: the figure is an error, in units of its own.
    """
    if alike:
        return f"no difference: A and B give the same answer, with the same scores, to every {noun}"
    if name not in difference:
        return f"no difference can be told: {name} is not defined on these {plural(noun)}"
    figure, words = difference[name], name.replace("_", " ")
    if less:
        return _by_error(figure, words)
    if right is None:
        return _by_interval(figure, words)
    if right.only_first == right.only_second == 0:
        return f"no difference in {words}: A and B are right on the same {plural(noun)}, with other scores"
    apart = bool(figure.low is not None and figure.high is not None and (figure.low > 0 or figure.high < 0))
    chance = f"McNemar p {p_words(right.p)}"
    if apart and right.p < 0.05:
        way, sign = ("better", 1) if figure.value > 0 else ("worse", -1)
        return f"B is {way} than A by {_points(figure, sign)} of {words}{_bounds(figure, sign)}; {chance}"
    doubt = f"no difference can be told: B minus A is {_points(figure, 1)} of {words}{_bounds(figure, 1)}; {chance}"
    needed = None if grouped else images_needed(right, n)
    if needed is None or needed <= n:
        return doubt
    would = f"some {_rounded(needed):,} {plural(noun)} would show it four times in five"
    return f"{doubt}; were it the true difference, {would}"


def _by_interval(figure: Figure, words: str) -> str:
    """What the interval of a difference alone bears out."""
    if figure.low is not None and figure.high is not None and (figure.low > 0 or figure.high < 0):
        way, sign = ("better", 1) if figure.value > 0 else ("worse", -1)
        return f"B is {way} than A by {_points(figure, sign)} of {words}{_bounds(figure, sign)}"
    return f"no difference can be told: B minus A is {_points(figure, 1)} of {words}{_bounds(figure, 1)}"


def _by_error(figure: Figure, words: str) -> str:
    """The same of an error: less of it is better.

    >>> _by_error(Figure(value=-2.0, low=-3.0, high=-1.0), "mse")
    'B is better than A: its mse is lower by 2 (1 to 3)'
    """
    low, high = figure.low, figure.high
    if low is None or high is None or low <= 0 <= high:
        bounds = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
        return f"no difference can be told: B minus A is {figure.value:.4g} of {words}{bounds}"
    way, how = ("better", "lower") if figure.value < 0 else ("worse", "higher")
    least, most = sorted((abs(low), abs(high)))
    return f"B is {way} than A: its {words} is {how} by {abs(figure.value):.4g} ({least:.4g} to {most:.4g})"


def _points(figure: Figure, sign: int) -> str:
    value = _hundredths(sign * figure.value)
    return f"{value} point{'' if value in ('1.0', '-1.0') else 's'}"


def _hundredths(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # + 0.0: never -0.0


def _bounds(figure: Figure, sign: int) -> str:
    if figure.low is None or figure.high is None:
        return ""
    low, high = sorted((sign * figure.low, sign * figure.high))
    return f" ({_hundredths(low)} to {_hundredths(high)})"


def p_words(p: float) -> str:
    """
    >>> p_words(0.2), p_words(0.0123), p_words(0.00001)
    ('= 0.20', '= 0.012', '< 0.0001')
    """
    return "< 0.0001" if p < 0.0001 else f"= {p:.2f}" if p >= 0.1 else f"= {p:.2g}"


def _rounded(number: int) -> int:
    """Up to two digits.

    >>> _rounded(12345), _rounded(99), _rounded(101)
    (13000, 99, 110)
    """
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step
