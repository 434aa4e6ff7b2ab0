"""How the run learnt, and what more images would buy."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from visto.report.figures import monitored
from visto.report.plot_growth import Point, growth_plot
from visto.report.plot_lines import Line, lines_plot
from visto.report.words import amount, counted, kind, lowered, shown, spoken_of

_TRAINING = "Loss by epoch, of the last step of the epoch, on images as they were altered for training."
_BOTH = (
    "Loss by epoch. Training: of the last step of the epoch, on images as they were altered for training, so it may "
    "lie above validation."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """The curves drawn, each with its caption, what they say in words, and their numbers (columns, rows)."""

    plots: Sequence[tuple[Markup, str]]
    words: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What more images bought and would buy, drawn and said; rows of (images, value, forecast or measured)."""

    plot: Markup
    words: str
    title: str
    rows: Sequence[tuple[str, str, str]]


def epochs_of(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that are of epochs: a history may begin with others, such as one a rung of a ladder.

    A validation loss that is 1 minus the figure watched says nothing of its own, and is taken out.
    """
    rows = [row for row in history if "epoch" in row]
    watched = f"validation_{monitored(history)}"
    both = [(finite(row.get("validation_loss")), finite(row.get(watched))) for row in rows]
    mirrored = [loss is not None and value is not None and abs(loss + value - 1) < 1e-6 for loss, value in both]
    if not any(mirrored) or not all(mirror for mirror, pair in zip(mirrored, both, strict=True) if None not in pair):
        return rows
    return [{key: value for key, value in row.items() if key != "validation_loss"} for row in rows]


def series(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(epoch, value) of one key, where both are finite numbers."""
    found = [(finite(row.get("epoch")), finite(row.get(key))) for row in history]
    return [(x, y) for x, y in found if x is not None and y is not None]


def finite(value: object) -> float | None:
    """A number as a float, None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # compared, not converted: a whole number of JSON may be too large for a float
    return float(value) if abs(value) <= sys.float_info.max else None


def rise(history: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The epoch of the lowest validation loss, and by which part of it the last epoch's lies above (0: it is last)."""
    points = series(history, "validation_loss")
    if not points:
        return 0.0, 0.0
    epoch, low = min(points, key=lambda point: point[1])
    return epoch, points[-1][1] / low - 1 if low > 0 else 0.0


def fall(history: Sequence[Mapping[str, Any]]) -> float:
    """By how much the figure that the run watched ends below its best epoch (0: it does not, or is better when low)."""
    name = monitored(history)
    values = [y for _, y in series(history, f"validation_{name}")] if name and kind(name).better == "high" else []
    return max(values) - values[-1] if values else 0.0


def learning(history: Sequence[Mapping[str, Any]], noun: str = "image") -> Learning | None:
    """None where there is no history; ``noun`` is what was learnt from."""
    train, loss = series(history, "loss"), series(history, "validation_loss")
    name = monitored(history)
    watched = series(history, f"validation_{name}") if name else []
    lines = [Line(name="training", points=train), Line(name="validation", points=loss)]
    lines = [each for each in lines if each.points]
    if not lines:
        return None
    words = [spoken_of(noun, _loss_words(history, len(loss)))] if loss else []
    title = "Loss by epoch"
    captions = [spoken_of(noun, _BOTH if loss and train else _TRAINING if train else "Loss by epoch.")]
    plots = [lines_plot("loss", lines, title=title, words=" ".join(words) or title, what="loss", share=False)]
    if name and watched:
        about = kind(name)
        best = _best(watched, low=about.better == "low")
        last = f"; after the last, {watched[-1][0]:.0f}, {amount(name, watched[-1][1])}"
        last = ", the last" if best == len(watched) - 1 else last
        said = (
            f"{about.title} on validation was best after epoch {watched[best][0]:.0f}: "
            f"{amount(name, watched[best][1])}{last}."
        )
        words.append(said)
        drawn = lines_plot(
            "watched",
            [Line(name=about.title, points=watched)],
            title=f"{about.title} by epoch",
            words=said,
            what=f"{lowered(about.title)} on validation",
            share=about.share,
            best=best,
        )
        plots.append(drawn)
        captions.append("What the run watched, on validation; the dot marks the best epoch.")
    columns, rows = _numbers(history, name)
    return Learning(plots=list(zip(plots, captions, strict=True)), words=words, columns=columns, rows=rows)


def _best(points: Sequence[tuple[float, float]], *, low: bool) -> int:
    values = [y for _, y in points]
    return values.index(min(values) if low else max(values))


def _loss_words(history: Sequence[Mapping[str, Any]], epochs: int) -> str:
    lowest, by = rise(history)
    if by > 0.1:
        return (
            f"Validation loss was lowest after epoch {lowest:.0f} and has since risen by {100 * by:.0f}\xa0%: "
            "fewer epochs, more augmentation or more images may serve better."
        )
    if by > 0.02 or epochs < 3:
        return f"Validation loss was lowest after epoch {lowest:.0f}."
    return "Validation loss fell to the end, or nearly: nothing here speaks of learning by heart."


_MOST_ROWS = 60


def _numbers(history: Sequence[Mapping[str, Any]], name: str | None) -> tuple[list[str], list[list[str]]]:
    """At most 60 epochs, the last among them."""
    keys = {"loss": "Training loss"}
    if series(history, "validation_loss"):
        keys["validation_loss"] = "Validation loss"
    if name:
        keys[f"validation_{name}"] = kind(name).title
    step = max(1, -(-len(history) // _MOST_ROWS))
    kept = list(history[::-1][::step])[::-1]
    rows = []
    for row in kept:
        values = [finite(row.get(key)) for key in keys]
        cells = [
            "–" if v is None else amount(key.removeprefix("validation_"), v)
            for key, v in zip(keys, values, strict=True)
        ]
        epoch = finite(row.get("epoch"))
        rows.append(["–" if epoch is None else f"{epoch:.0f}", *cells])
    return ["Epoch", *keys.values()], rows


def growth(curve: Mapping[str, Any] | None) -> Growth | None:
    """None where there is no curve, or nothing in it that can be drawn."""
    given = curve.get("points") if curve is not None else None
    if curve is None or not isinstance(given, list):
        return None
    points = sorted((p for p in map(_point, given) if p is not None), key=lambda p: p.images)[:_MOST_ROWS]
    if not points:
        return None
    forecast = _point(curve.get("forecast"))
    name = next((p["figure"] for p in given if isinstance(p, dict) and isinstance(p.get("figure"), str)), "figure")
    about = kind(name)
    words = shown(str(curve.get("words") or ""), 600)
    plot = growth_plot(
        points, forecast, what=about.title, words=words or "a figure by the number of images", share=about.share
    )
    everything = [(p, "measured") for p in points] + ([(forecast, "forecast")] if forecast else [])
    rows = [(counted(p.images, "image"), _with_bounds(name, p), how) for p, how in everything]
    return Growth(plot=plot, words=words, title=about.title, rows=rows)


def _point(content: object) -> Point | None:
    if not isinstance(content, dict):
        return None
    images, value = finite(content.get("images")), finite(content.get("value"))
    if images is None or value is None or images < 0:
        return None
    low, high = finite(content.get("low")), finite(content.get("high"))
    return Point(images=int(images), value=value, low=low, high=high)


def _with_bounds(name: str, point: Point) -> str:
    bounds = (
        "" if point.low is None or point.high is None else f" ({amount(name, point.low)} to {amount(name, point.high)})"
    )
    return amount(name, point.value) + bounds
