"""The figures of the whole: which one leads, and each with its interval drawn and a line on what it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from visto.report.plot_interval import interval_bar, scale_floor
from visto.report.svg import in_percent, plain, ticks
from visto.report.words import Kind, amount, interval, kind, spoken_of
from visto.types import Figure

_ORDER = (
    "accuracy",
    "mean_average_precision",
    "map",
    "map50",
    "map75",
    "exact_match",
    "micro_f1",
    "balanced_accuracy",
    "top2_accuracy",
    "top5_accuracy",
    "precision",
    "recall",
    "f1",
    "kappa",
    "auroc",
    "average_precision",
    "hamming_accuracy",
    "log_loss",
    "ece",
    "map_small",
    "map_medium",
    "map_large",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure as it stands in the table; ``interval`` is empty where there is none."""

    name: str
    title: str
    meaning: str
    value: str
    interval: str
    bar: Markup


def whole(figures: Mapping[str, Figure]) -> list[str]:
    """The names of the figures that speak of all classes, the best known first."""
    order = {name: place for place, name in enumerate(_ORDER)}
    return sorted((name for name in figures if "/" not in name), key=lambda name: order.get(name, len(order)))


def monitored(history: Sequence[Mapping[str, Any]]) -> str | None:
    """The figure that the run watched, from the rows of its history: of its epochs, else of the rungs it climbed."""
    names = [key.removeprefix("validation_") for row in history for key in row if key.startswith("validation_")]
    names += [row["figure"] for row in history if "rung" in row and isinstance(row.get("figure"), str)]
    return next((name for name in names if name not in ("loss", "")), None)


def main_figure(figures: Mapping[str, Figure], history: Sequence[Mapping[str, Any]]) -> str | None:
    """What the run watched, where it was measured, else the best known; None where nothing could be measured."""
    name = monitored(history)
    return name if name in figures else next(iter(whole(figures)), None)


def figure_rows(
    figures: Mapping[str, Figure], main: str | None, meanings: Mapping[str, str], noun: str = "image"
) -> list[Row]:
    """All figures of the whole, ``main`` first; those better when high share one scale, to be compared.

    ``meanings`` has those that differ from what the name means else; ``noun`` is what they are measured on.
    """
    names = sorted(whole(figures), key=lambda name: name != main)
    shared = [figures[name] for name in names if kind(name).better == "high"]
    floor = scale_floor([f.value if f.low is None else f.low for f in shared])
    about = {
        name: replace(kind(name), meaning=spoken_of(noun, meanings.get(name, kind(name).meaning))) for name in names
    }
    return [_row(name, figures[name], about[name], floor) for name in names]


def _row(name: str, figure: Figure, about: Kind, floor: float) -> Row:
    words = ", ".join(filter(None, (f"{about.title} {amount(name, figure.value)}", interval(name, figure))))
    low, high = floor, 1.0
    if about.better != "high" or figure.value < 0 or figure.value > 1:
        bounds = [figure.value, figure.low or 0.0, figure.high or 0.0]
        low, high = min(0.0, *bounds), _above(max(bounds))
    ends = (in_percent(low), in_percent(high)) if about.share else (plain(low), plain(high))
    return Row(
        name=name,
        title=about.title,
        meaning=about.meaning,
        value=amount(name, figure.value),
        interval=interval(name, figure),
        bar=interval_bar(f"bar-{name}", figure, low=low, high=high, ends=ends, words=words),
    )


def _above(value: float) -> float:
    """A round number above, where a scale may end.

    >>> _above(0.013), _above(0.37), _above(1.2)
    (0.015, 0.4, 1.5)
    """
    if value <= 0:
        return 1.0
    marks = ticks(0, 2 * value, 8)
    return next((mark for mark in marks if mark >= value), value)
