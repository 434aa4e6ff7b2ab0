"""The ladder that led to a model: every rung with what it is worth and what it cost, and why it was kept or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from visto.report.learning import finite
from visto.report.plot_ladder import Mark, is_far, ladder_plot
from visto.report.words import amount, interval, kind, lowered, shown
from visto.types import Figure

_MOST = 40
_ODD = 1e6  # no figure is beyond, and no rung takes so many seconds
_NAME, _WORDS = 60, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A rung as it stands in the table; ``state`` is best, kept, passed or left (out)."""

    number: str
    name: str
    value: str
    interval: str
    seconds: str
    size: str
    state: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbed:
    """The sentence on the whole, the rungs drawn and in order, and the ``title`` of their figure.

    ``beyond`` is said of a rung that is drawn at the edge, ``left_out`` names those that were not climbed.
    """

    words: str
    title: str
    plot: Markup | None
    rungs: Sequence[Rung]
    beyond: str
    left_out: str


def climbed(recipe: Mapping[str, Any]) -> Climbed | None:
    """None where there was no ladder, or nothing in it that can be shown."""
    ladder = recipe.get("ladder")
    given = ladder.get("rungs") if isinstance(ladder, Mapping) else None
    if not isinstance(ladder, Mapping) or not isinstance(given, list):
        return None
    rows = [row for row in given if isinstance(row, Mapping) and isinstance(row.get("name"), str)][:_MOST]
    if not rows:
        return None
    name = next((row["figure"] for row in rows if row.get("figure") and isinstance(row["figure"], str)), "figure")
    best = ladder.get("best")
    rungs: list[Rung] = []
    marks: list[Mark] = []
    for row in rows:
        figure = figure_of(row.get("value"))
        state = "left" if figure is None else "best" if row["name"] == best else "kept" if row.get("kept") else "passed"
        number = len(marks) + 1
        rungs.append(_rung(row, name, figure, state, number))
        if figure is not None:
            marks.append(_mark(row, figure, state, number))
    left = [rung.name for rung in rungs if rung.state == "left"]
    words = shown(str(ladder.get("words") or ""), _WORDS)
    words = words[:1].upper() + words[1:] + "." if words else ""
    about = kind(name)
    return Climbed(
        words=words,
        title=about.title,
        plot=ladder_plot(marks, what=f"{lowered(about.title)} on validation", words=words or "rungs", share=about.share)
        if marks
        else None,
        rungs=rungs,
        beyond=_beyond(marks, name),
        left_out="; ".join(left),
    )


def figure_of(value: object) -> Figure | None:
    """The figure of a rung, from the JSON of its value."""
    if not isinstance(value, Mapping):
        return None
    found = [finite(value.get(key)) for key in ("value", "low", "high")]
    if found[0] is None or any(abs(each) > _ODD for each in found if each is not None):
        return None
    return Figure(value=found[0], low=found[1], high=found[2])


def _rung(row: Mapping[str, Any], name: str, figure: Figure | None, state: str, number: int) -> Rung:
    seconds, size = finite(row.get("seconds")) or 0.0, finite(row.get("bytes")) or 0.0
    return Rung(
        number=str(number) if figure else "–",
        name=shown(row["name"], _NAME),
        value=amount(name, figure.value) if figure else "–",
        interval=interval(name, figure) if figure else "",
        seconds=(f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}") if figure else "–",
        size=size_words(size) if figure else "–",
        state=state,
        verdict=shown(str(row.get("words") or ""), _WORDS),
    )


def size_words(size: float) -> str:
    """
    >>> size_words(40), size_words(45_200), size_words(3_456_789)
    ('40 B', '45.2 kB', '3.5 MB')
    """
    if size < 1e3:
        return f"{size:.0f} B"
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _mark(row: Mapping[str, Any], figure: Figure, state: str, number: int) -> Mark:
    low, high = (figure.value if bound is None else bound for bound in (figure.low, figure.high))
    seconds = min(_ODD, finite(row.get("seconds")) or 0.0)
    return Mark(number=number, seconds=seconds, value=figure.value, low=low, high=high, kind=state)


def _beyond(marks: Sequence[Mark], name: str) -> str:
    """What is said of a rung that is drawn at the edge."""
    order = sorted(marks, key=lambda mark: mark.value)
    return f"Number {order[0].number} lies far below, at {amount(name, order[0].value)}" if is_far(order) else ""
