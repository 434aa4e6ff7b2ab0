"""Where boxes go wrong: why they are wrong or missed, and the images to look at first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from visto.data.loader import gather
from visto.evaluation import Evaluation
from visto.report.box_pictures import Boxed, boxed
from visto.report.found_boxes import FALSE, MISSED, FoundBoxes, InImage, kinds
from visto.report.words import counted, decimal, percent, shown
from visto.types import View

MOST_IMAGES = 12
MOST_LISTED = 100
_ID = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """``total`` boxes that are wrong or missed: rows of (why, how many, their share)."""

    total: int
    rows: Sequence[tuple[str, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedImage:
    """An image by its id: how many boxes were found, drawn wrongly, and missed; with its picture where wanted."""

    id: str
    right: int
    false: int
    missed: int
    surest: str
    picture: Boxed | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMistakes:
    """``faulty`` images have a mistake. First those with the surest ``false`` boxes, then with the most ``missed``.

    Those of ``missed`` are not among ``false``; ``listed`` are named only, and ``more`` are not.
    """

    faulty: int
    false_reasons: Reasons
    missed_reasons: Reasons
    false: Sequence[BoxedImage]
    missed: Sequence[BoxedImage]
    listed: Sequence[BoxedImage]
    more: int


def box_mistakes(evaluation: Evaluation, boxes: FoundBoxes, views: Callable[[int], View] | None) -> BoxMistakes:
    """Without ``views`` (how the image of a row came to the model) no picture is taken over, only names."""
    images = boxes.images
    wrong = sorted((row for row, i in enumerate(images) if len(i.false)), key=lambda row: (-surest(images[row]), row))
    missing = sorted((row for row, i in enumerate(images) if len(i.missed)), key=lambda r: (-weight(images[r]), r))
    first = wrong[:MOST_IMAGES]
    second = [row for row in missing if row not in set(first)][:MOST_IMAGES]
    seen = {*first, *second}
    rest = [row for row in dict.fromkeys([*wrong, *missing]) if row not in seen]

    def look(row: int, how: Callable[[int], View] | None) -> BoxedImage:
        return _image(evaluation, images[row], row, how)

    return BoxMistakes(
        faulty=len({*wrong, *missing}),
        false_reasons=_reasons(images, "false_kinds", FALSE),
        missed_reasons=_reasons(images, "missed_kinds", MISSED),
        false=[look(row, views) for row in first],
        missed=[look(row, views) for row in second],
        listed=[look(row, None) for row in rest[:MOST_LISTED]],
        more=max(0, len(rest) - MOST_LISTED),
    )


def surest(image: InImage) -> float:
    """The score of the surest wrong box; 0 where there is none."""
    scores = image.false.scores
    return float(scores.max()) if scores is not None and len(scores) else 0.0


def weight(image: InImage) -> float:
    """The sides of all missed boxes together: many small ones weigh as much as a few large ones."""
    sides = image.missed.xyxy[:, 2:] - image.missed.xyxy[:, :2]
    return float(sides.clamp_min(1).sum())


def _reasons(images: Sequence[InImage], of: str, titles: dict[str, str]) -> Reasons:
    found = kinds(images, of)
    total = sum(found.values())
    rows = [(titles[kind], n, percent(n / total)) for kind, n in found.items() if n]
    return Reasons(total=total, rows=sorted(rows, key=lambda row: -row[1]))


def _image(evaluation: Evaluation, found: InImage, row: int, views: Callable[[int], View] | None) -> BoxedImage:
    id = shown(evaluation.pixels.items[row].id, _ID)
    picture = None
    if views is not None:
        picture = boxed(gather(evaluation.pixels, torch.tensor([row]))[0], views(row), found, evaluation.classes)
    right, false, missed = len(found.right), len(found.false), len(found.missed)
    return BoxedImage(
        id=id,
        right=right,
        false=false,
        missed=missed,
        surest=decimal(surest(found)) if false else "",
        picture=picture,
        words=f"{id}: {counted(right, 'box', 'boxes')} found, {false:,} drawn wrongly, {missed:,} missed",
    )
