"""How right it is on the answers that are left when it keeps silent on the least sure ones."""

from markupsafe import Markup

from visto.report.axes import HEIGHT, Axis, frame
from visto.report.plot_interval import scale_floor
from visto.report.sureness import Kept
from visto.report.svg import drawing, in_percent, polygon, polyline, ticks


def coverage_plot(curve: list[Kept], *, what: str, words: str, nouns: str = "images") -> Markup:
    """From right (answers everything) to left (only the surest), with the 95 % band; ``nouns`` are answered."""
    floor = scale_floor([kept.low for kept in curve])
    area = frame(
        Axis(low=0, high=1, ticks=[(v, in_percent(v)) for v in ticks(0, 1)], words=f"{nouns} it answers, surest first"),
        Axis(low=floor, high=1, ticks=[(v, in_percent(v)) for v in ticks(floor, 1)], words=what),
    )
    band = [area.at(k.coverage, k.high) for k in curve] + [area.at(k.coverage, k.low) for k in reversed(curve)]
    parts = [*area.parts, polygon("area", band), polyline("curve a", [area.at(k.coverage, k.right) for k in curve])]
    return drawing("coverage", 420, HEIGHT, title="Accuracy when it may abstain", words=words, parts=parts)
