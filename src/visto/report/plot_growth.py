"""What more images bought, and would buy: a figure against the number of images it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.axes import HEIGHT, WIDTH, Axis, frame
from visto.report.svg import dot, drawing, in_percent, line, plain, polyline, ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A figure after training on so many images."""

    images: int
    value: float
    low: float | None = None
    high: float | None = None


def growth_plot(points: Sequence[Point], forecast: Point | None, *, what: str, words: str, share: bool) -> Markup:
    """Measured points joined by a line; the forecast hollow, at the end of a dashed one."""
    everything = [*points, forecast] if forecast else list(points)
    values = [v for p in everything for v in (p.value, p.low, p.high) if v is not None]
    low, high = min(values), max(values)
    rim = 0.06 * (high - low) + 0.005
    low, high = (max(0.0, low - rim), min(1.0, high + rim)) if share else (low - rim, high + rim)
    most = max(p.images for p in everything)
    area = frame(
        Axis(low=0, high=most, ticks=[(v, plain(v)) for v in ticks(0, most, 4)], words="images it was trained on"),
        Axis(
            low=low, high=high, ticks=[(v, in_percent(v) if share else plain(v)) for v in ticks(low, high)], words=what
        ),
    )
    parts = [*area.parts, polyline("curve a", [area.at(p.images, p.value) for p in points])]
    for p in everything:
        if p.low is not None and p.high is not None:
            parts.append(line("whisker", area.at(p.images, p.low), area.at(p.images, p.high)))
    if forecast:
        start = area.at(points[-1].images, points[-1].value)
        parts.append(line("curve b", start, area.at(forecast.images, forecast.value)))
        parts.append(dot("hollow", area.at(forecast.images, forecast.value), 4.5))
    parts += [dot("value", area.at(p.images, p.value), 4.5) for p in points]
    return drawing("growth", WIDTH, HEIGHT, title="What more images would buy", words=words, parts=parts)
