"""How well boxes are found: precision by recall, recall by size, and what another threshold would bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from visto.metrics import pr_curve
from visto.report.classes import Cell, Table, figure_cell, number
from visto.report.found_boxes import FoundBoxes
from visto.report.plot_recall import Curves, recall_panel, recall_plot, said
from visto.report.plot_thresholds import AtThreshold, thresholds_plot
from visto.report.words import decimal, percent, shown
from visto.types import Figure

MOST_PANELS = 8
_SIZES = {"small": "Small: up to 32×32 pixels", "medium": "Medium: up to 96×96 pixels", "large": "Large: above"}
_STEPS = [k / 10 for k in range(1, 10)]
_NAME = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The curves of one class, its name and what its curves come to."""

    plot: Markup
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxCurves:
    """``plot`` is the mean over the classes, None where nothing could be found. ``more`` classes have no panel.

    ``threshold`` is the model's own, as it is written.
    """

    threshold: str
    plot: Markup | None
    panels: Sequence[Panel]
    more: int
    sizes: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A plot of all thresholds and a table of some, with the model's own among them (its row is ``own``)."""

    plot: Markup
    rows: Sequence[tuple[str, int, str, str, str, bool]]


def box_curves(
    boxes: FoundBoxes, figures: Mapping[str, Figure], details: Mapping[str, Any], classes: Sequence[str]
) -> BoxCurves:
    known = [k for k, n in enumerate(boxes.have) if n]
    curves = _curves(boxes, known)
    plot = None
    if known:
        mean = _mean(list(curves.values()))
        plot = recall_plot(mean, list(curves.values()), words=f"mean over the classes, {said(mean)}")
    most = sorted(known, key=lambda k: (-boxes.have[k], k))[:MOST_PANELS] if len(known) > 1 else []
    panels = [_panel(k, curves[k], shown(classes[k], _NAME)) for k in most]
    return BoxCurves(
        threshold=decimal(boxes.threshold),
        plot=plot,
        panels=panels,
        more=len(known) - len(panels) if len(known) > 1 else 0,
        sizes=_sizes(details.get("recall_by_size"), figures),
    )


def _curves(boxes: FoundBoxes, known: Sequence[int]) -> dict[int, Curves]:
    """Of each class that there is to find."""
    if not known:
        return {}
    half, tight = pr_curve(boxes.said, boxes.true, classes=boxes.classes)
    drawn, right = boxes.per_class(boxes.drawn), boxes.per_class(boxes.drawn & boxes.hits)
    return {
        k: Curves(
            half=half[k].tolist(),
            tight=tight[k].tolist(),
            at=(right[k] / boxes.have[k], right[k] / drawn[k]) if drawn[k] else None,
        )
        for k in known
    }


def _mean(curves: Sequence[Curves]) -> Curves:
    """Of one class its own; else no threshold lies on it, for at each the classes have recalls of their own."""
    half, tight = (torch.tensor([getattr(c, name) for c in curves]).double().mean(0) for name in ("half", "tight"))
    return Curves(half=half.tolist(), tight=tight.tolist(), at=curves[0].at if len(curves) == 1 else None)


def _panel(k: int, curves: Curves, name: str) -> Panel:
    half, tight = (sum(line) / len(line) for line in (curves.half, curves.tight))
    words = f"average precision {decimal(half)} at IoU 0.5, {decimal(tight)} at 0.75"
    return Panel(plot=recall_panel(f"recall-{k}", curves, title=f"Precision by recall: {name}"), name=name, words=words)


def _sizes(found: Mapping[str, tuple[int, int]] | None, figures: Mapping[str, Figure]) -> Table | None:
    if not found or not any(n for _, n in found.values()):
        return None
    rows = []
    for name, (hits, n) in found.items():
        recall = Cell(value=percent(hits / n), order=hits / n) if n else Cell(value="–")
        cells = [number(n), number(hits), recall, figure_cell("map", figures.get(f"map_{name}"))]
        rows.append((_SIZES.get(name, name), cells))
    return Table(first="Size", names=["Boxes", "Found", "Recall", "mAP"], rows=rows)


def thresholds_of(boxes: FoundBoxes) -> Thresholds | None:
    """None where no box was said, or there is none to find."""
    if not boxes.scored or not boxes.wanted or not len(boxes.scores):
        return None
    scores, order = boxes.scores.sort(descending=True, stable=True)
    right = boxes.hits[order].cumsum(0)
    curve = [_at(k / 100, scores, right, boxes.wanted) for k in range(1, 100)]
    own = _at(boxes.threshold, scores, right, boxes.wanted, int(boxes.drawn.sum()))
    near = min(_STEPS, key=lambda t: abs(t - own.threshold))
    some = [_at(t, scores, right, boxes.wanted) for t in _STEPS if abs(own.threshold - near) >= 0.02 or t != near]
    rows = [_row(each, each is own) for each in sorted([*some, own], key=lambda each: each.threshold)]
    words = ", ".join(
        f"from {plain} precision {precision}, recall {recall}" for plain, _, precision, recall, _, _ in rows
    )
    return Thresholds(plot=thresholds_plot([c for c in curve if c.drawn], own=boxes.threshold, words=words), rows=rows)


def _at(threshold: float, scores: Tensor, right: Tensor, wanted: int, drawn: int | None = None) -> AtThreshold:
    """``scores`` fall, ``right`` counts hits down to each."""
    if drawn is None:
        drawn = int((scores >= threshold).sum())
    hits = int(right[drawn - 1]) if drawn else 0
    return AtThreshold(
        threshold=threshold,
        drawn=drawn,
        right=hits,
        precision=hits / drawn if drawn else 0.0,
        recall=hits / wanted,
        f1=2 * hits / (drawn + wanted),
    )


def _row(each: AtThreshold, own: bool) -> tuple[str, int, str, str, str, bool]:
    precision = percent(each.precision) if each.drawn else "–"
    return f"{each.threshold:.3g}", each.drawn, precision, percent(each.recall), percent(each.f1), own
