"""How often it is right, against how sure it says it is; below, how many answers that rests on."""

from markupsafe import Markup

from visto.report.axes import BOTTOM, HEIGHT, Axis, frame
from visto.report.sureness import Bin
from visto.report.svg import box, dot, drawing, in_percent, label, line, ticks

_FLOOR = 196.0
_COUNTS = HEIGHT - BOTTOM - _FLOOR - 12


def reliability_plot(bins: list[Bin], *, what: str, words: str) -> Markup:
    """A dot for each bin that has answers, with its interval; on the diagonal it is as right as it is sure."""
    marks = [(v, in_percent(v)) for v in ticks(0, 1)]
    area = frame(
        Axis(low=0, high=1, ticks=marks, words="how sure it says it is"),
        Axis(low=0, high=1, ticks=marks, words=what),
        floor=_FLOOR,
    )
    most = max((b.count for b in bins), default=0) or 1
    base = HEIGHT - BOTTOM
    parts = [
        *area.parts,
        line("ideal", area.at(0, 0), area.at(1, 1)),
        line("grid", (area.x(0), base), (area.x(1), base)),
    ]
    for b in bins:
        tall = max(1.0, _COUNTS * b.count / most) if b.count else 0.0
        parts.append(box("count", (area.x(b.low) + 1, base - tall), area.x(b.high) - area.x(b.low) - 2, tall))
    parts.append(label("tick e", (area.x(0) - 7, base - _COUNTS + 9), f"{most:,}"))
    parts.append(label("tick e", (area.x(0) - 7, base), "0"))
    full = [b for b in bins if b.count]
    parts += [line("whisker", area.at(b.claimed, b.least), area.at(b.claimed, b.most)) for b in full]
    parts += [dot("value", area.at(b.claimed, b.right), 4) for b in full]
    return drawing("reliability", 420, HEIGHT, title="Calibration", words=words, parts=parts)
