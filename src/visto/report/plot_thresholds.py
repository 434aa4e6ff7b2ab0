"""How precision and recall go with the score from which a box is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.axes import HEIGHT, WIDTH, Axis, frame
from visto.report.svg import drawing, in_percent, label, line, plain, polyline, thinned, ticks

_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """What is drawn from a score on: how many boxes, how many of them right, the figures of that."""

    threshold: float
    drawn: int
    right: int
    precision: float
    recall: float
    f1: float


def thresholds_plot(curve: Sequence[AtThreshold], *, own: float, words: str) -> Markup:
    """``curve`` by rising threshold; ``own`` is that of the model, where a line stands."""
    shares = [(v, in_percent(v)) for v in ticks(0, 1)]
    area = frame(
        Axis(low=0, high=1, ticks=[(v, plain(v)) for v in ticks(0, 1)], words="threshold: boxes that score less go"),
        Axis(low=0, high=1, ticks=shares, words="precision, recall"),
    )
    some = [curve[k] for k in thinned(len(curve), _POINTS)]
    parts = [
        *area.parts,
        line("ideal", area.at(own, 0), area.at(own, 1)),
        polyline("curve a", [area.at(each.threshold, each.precision) for each in some]),
        polyline("curve b", [area.at(each.threshold, each.recall) for each in some]),
    ]
    for place, (kind, text) in enumerate((("a", "precision"), ("b", "recall"))):
        left = WIDTH - 110 * (2 - place)
        parts.append(line(f"curve {kind}", (left, 7), (left + 24, 7)))
        parts.append(label("key s", (left + 30, 11.5), text))
    return drawing("thresholds", WIDTH, HEIGHT, title="Precision and recall by threshold", words=words, parts=parts)
