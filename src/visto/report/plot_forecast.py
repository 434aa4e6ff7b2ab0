"""Forecasts drawn: how the error grows with the steps ahead, and stretches of what came beside what was foretold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from visto.data.dataset import Item, Steps
from visto.report.axes import HEIGHT, WIDTH, Axis, frame
from visto.report.svg import dot, drawing, label, line, plain, polyline, thinned, ticks
from visto.types import Answer, Future

_STRETCHES, _LONGEST, _POINTS = 3, 96, 300
_KINDS = {"forecast": "curve a", "linear": "curve b", "naive": "ideal", "truth": "truth"}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What came over some steps, and what was foretold of each; steps are rows of the file from 1."""

    truth: Points
    forecast: Points
    linear: Points


def steps_plot(steps: Sequence[Mapping[str, Any]]) -> Markup | None:
    """The error of the forecast and of the plain ways by the steps ahead; None for a single step."""
    if len(steps) < 2:
        return None
    names = {"forecast": "mse", "linear": "linear", "naive": "naive"}
    lines = {
        name: [(float(row["step"]), float(row[key])) for row in steps if key in row] for name, key in names.items()
    }
    first, last = steps[0], steps[-1]
    words = f"From {first['mse']:.4g} one step ahead to {last['mse']:.4g} at {last['step']} steps."
    return _drawn("steps", lines, title="Error by steps ahead", words=words, x="steps ahead", y="mean squared error")


def stretch_plots(items: Sequence[Item], answers: Sequence[Answer[Future]], name: str) -> list[tuple[Markup, str]]:
    """Up to three stretches of the first column, evenly spread, each with its caption."""
    found = []
    for number, stretch in enumerate(stretches(items, answers)):
        first, last = int(stretch.truth[0][0]), int(stretch.truth[-1][0])
        title = f"Rows {first:,} to {last:,}"
        lines = {"truth": stretch.truth, "linear": stretch.linear, "forecast": stretch.forecast}
        words = "The truth, the forecast and the linear forecast."
        found.append((_drawn(f"stretch-{number}", lines, title=title, words=words, x="row", y=name, zero=False), title))
    return found


def stretches(items: Sequence[Item], answers: Sequence[Answer[Future]]) -> list[Stretch]:
    """Where windows follow each other without a gap, each so many steps after the last as are foretold."""
    pairs = [(item, answer) for item, answer in zip(items, answers, strict=True) if isinstance(item.source, Steps)]
    runs: list[list[tuple[Item, Answer[Future]]]] = [[]]
    due = None
    for item, answer in sorted(pairs, key=lambda pair: _row(pair[0])):
        horizon = len(answer.value.values)
        if due is not None and _row(item) < due:
            continue
        if runs[-1] and (_row(item) != due or len(runs[-1]) * horizon >= _LONGEST):
            runs.append([])
        runs[-1].append((item, answer))
        due = _row(item) + horizon
    long = [run for run in runs if len(run) * len(run[0][1].value.values) > 3] if runs[0] else []
    return [_stretch(long[k]) for k in thinned(len(long), _STRETCHES)]


def _row(item: Item) -> int:
    return item.source.stop if isinstance(item.source, Steps) else 0


def _stretch(run: Sequence[tuple[Item, Answer[Future]]]) -> Stretch:
    truth: list[tuple[float, float]] = []
    said: dict[str, list[tuple[float, float]]] = {"values": [], "linear": []}
    for item, answer in run:
        rows = range(_row(item) + 1, _row(item) + 1 + len(answer.value.values))
        if isinstance(item.target, Future):
            truth += zip(map(float, rows), item.target.values[:, 0].tolist(), strict=True)
        for name, points in said.items():
            known = getattr(answer.value, name)
            if known is not None:
                points += zip(map(float, rows), known[:, 0].tolist(), strict=True)
    return Stretch(truth=truth, forecast=said["values"], linear=said["linear"])


def _drawn(
    name: str, lines: Mapping[str, Points], *, title: str, words: str, x: str, y: str, zero: bool = True
) -> Markup:
    shown = {key: [points[k] for k in thinned(len(points), _POINTS)] for key, points in lines.items() if points}
    across = [at for points in shown.values() for at, _ in points]
    up = [value for points in shown.values() for _, value in points]
    low, high = (0.0 if zero else min(up)), max(up)
    room = 0.05 * (high - low) or 1.0
    low, high = low if zero else low - room, high + room
    area = frame(
        Axis(low=min(across), high=max(across), ticks=_whole(min(across), max(across)), words=x),
        Axis(low=low, high=high, ticks=[(v, plain(v)) for v in ticks(low, high)], words=y[:24]),
    )
    parts = [*area.parts]
    for place, (key, points) in enumerate(shown.items()):
        at = [area.at(*point) for point in points]
        parts.append(polyline(f"curve {_KINDS[key]}" if key in ("truth", "naive") else _KINDS[key], at))
        if len(at) <= 30:
            parts += [dot("knot a" if key == "forecast" else "knot b", p, 2.5) for p in at if key != "naive"]
        left = WIDTH - 96 * (len(shown) - place)
        parts.append(line(f"curve {_KINDS[key]}", (left, 7), (left + 20, 7)))
        parts.append(label("key s", (left + 25, 11.5), key))
    return drawing(name, WIDTH, HEIGHT, title=title, words=words, parts=parts)


def _whole(low: float, high: float) -> list[tuple[float, str]]:
    return [(v, plain(v)) for v in ticks(low, high, 4) if v == int(v)]
