"""A picture with its boxes as a drawing on top, which follows the page's style: right, wrong and missed ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from markupsafe import Markup
from torch import Tensor

from visto.ops.boxes import clip_boxes, move_boxes
from visto.report.found_boxes import InImage
from visto.report.pictures import Picture, picture
from visto.report.svg import box, element, label
from visto.report.words import shown
from visto.types import Boxes, View

LONGEST = 384  # pixels, of a picture shown at about 300
_SIDE = 320.0  # of the drawing on top, so that its letters are as large as they are on the page
_MOST = 60  # boxes of a kind in one picture
_NAMED = 5
_LETTER, _LINE = 7.4, 13.0  # pixels a letter is wide, at most nearly, and a line is high
_NAME = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxed:
    """The picture, and the drawing that lies on it."""

    picture: Picture
    over: Markup


def boxed(image: Tensor, view: View, found: InImage, classes: Sequence[str]) -> Boxed:
    """``image`` is the model's input, C×H×W, ``view`` how it came from the original, whose padding is cut off."""
    size = view.size
    whole = onto_input(torch.tensor([[0.0, 0.0, size.width, size.height]]), view)
    x0, y0, x1, y1 = (round(v) for v in clip_boxes(whole, image.shape[1], image.shape[2])[0].tolist())
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    scale = _SIDE / max(x1 - x0, y1 - y0)
    wide, high = (x1 - x0) * scale, (y1 - y0) * scale
    corner = torch.tensor([x0, y0, x0, y0])

    def drawn(boxes: Boxes) -> Tensor:
        places = (onto_input(boxes.xyxy[:_MOST], view) - corner) * scale
        return clip_boxes(places, high, wide)

    false, missed = drawn(found.false), drawn(found.missed)
    over = element(
        "svg",
        {"class": "over", "viewBox": f"0 0 {wide:.2f} {high:.2f}", "aria-hidden": "true"},
        *(_group("right", drawn(found.right)), _group("missed", missed), _group("false", false)),
        *_labels(_names(false, missed, found, classes), wide, high),
    )
    return Boxed(picture=picture(image[:, y0:y1, x0:x1], longest=LONGEST), over=over)


def onto_input(xyxy: Tensor, view: View) -> Tensor:
    """From pixels of the original to those of the model's input.

    >>> from visto.types import Size
    >>> half = View(size=Size(height=8, width=8), to_original=torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]))
    >>> onto_input(torch.tensor([[1.0, 0.0, 5.0, 8.0]]), half).tolist()
    [[0.0, 0.0, 2.0, 4.0]]
    """
    back = torch.zeros(2, 3)
    for k in (0, 1):
        back[k, k] = 1 / view.to_original[k, k]
        back[k, 2] = -view.to_original[k, 2] / view.to_original[k, k]
    return move_boxes(xyxy, back)


def _group(kind: str, places: Tensor) -> Markup:
    corners = places.tolist()
    return element("g", {"class": f"{kind}-box"}, *(box("", (x0, y0), x1 - x0, y1 - y0) for x0, y0, x1, y1 in corners))


def _names(false: Tensor, missed: Tensor, found: InImage, classes: Sequence[str]) -> list[tuple[str, list[float], str]]:
    """(kind, box, words) of the surest wrong and the largest missed boxes, in turn."""
    scores = found.false.scores
    labels = [shown(classes[k], _NAME) for k in found.false.labels[:_NAMED].tolist()]
    sure = scores[:_NAMED].tolist() if scores is not None else []
    wrong = [
        f"{name} {score if score == 1 else min(score, 0.99):.2f}" for name, score in zip(labels, sure, strict=True)
    ]
    lost = [shown(classes[k], _NAME) for k in found.missed.labels[:_NAMED].tolist()]
    one = [("false", box, words) for box, words in zip(false.tolist(), wrong, strict=False)]
    other = [("missed", box, words) for box, words in zip(missed.tolist(), lost, strict=False)]
    return [each for pair in zip_longest(one, other) for each in pair if each is not None]


def _labels(names: Sequence[tuple[str, list[float], str]], wide: float, high: float) -> list[Markup]:
    """Above each box, else below it or at its top, within the picture; none where it would hide another."""
    found, taken = [], list[tuple[float, float, float, float]]()
    for kind, (x0, y0, _, y1), words in names:
        length = _LETTER * len(words)
        x = max(2.0, min(x0, wide - length - 2))
        for y in (y0 - 3, y1 + _LINE - 2, y0 + _LINE):
            spot = (x, y - _LINE, x + length, y)
            if y - _LINE < 0 or y > high - 2 or any(_overlap(spot, other) for other in taken):
                continue
            taken.append(spot)
            found.append(label(f"{kind}-name s", (x, y), words))
            break
    return found


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
