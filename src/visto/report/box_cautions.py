"""What a reader must know of boxes before trusting the figures: found by rule."""

from collections.abc import Mapping
from typing import Any

from visto.report.found_boxes import FoundBoxes, kinds
from visto.report.words import counted, percent

FEW_BOXES, GAP, DOUBLES = 10, 0.25, 0.1

Found = list[tuple[bool, str, str]]


def about_boxes(boxes: FoundBoxes, details: Mapping[str, Any]) -> Found:
    """Rows of (whether it is grave, title, words)."""
    if not boxes.wanted:
        words = "There is not one box to find in the images judged: all that can be seen is whether it draws any."
        return [(True, "No box to find", words)]
    if not boxes.drawn.any():
        words = f"Not one box was drawn of the {counted(boxes.wanted, 'box', 'boxes')} there are."
        return [(True, "It draws nothing", words)]
    return [*_about_size(details), *_about_doubles(boxes)]


def _about_size(details: Mapping[str, Any]) -> Found:
    found: Mapping[str, tuple[int, int]] = details.get("recall_by_size") or {}
    shares = {name: hits / n for name, (hits, n) in found.items() if n >= FEW_BOXES}
    if "small" not in shares or len(shares) < 2:
        return []
    best = max((name for name in shares if name != "small"), key=lambda name: shares[name])
    if shares[best] - shares["small"] < GAP:
        return []
    words = (
        f"It finds {percent(shares['small'])} of the small things (up to 32×32 pixels) and {percent(shares[best])} of "
        f"the {best} ones. A larger --size of input, or images cut into tiles, may help."
    )
    return [(False, "Small things are much harder for it", words)]


def _about_doubles(boxes: FoundBoxes) -> Found:
    double = kinds(boxes.images, "false_kinds")["double"]
    drawn = int(boxes.drawn.sum())
    if double < FEW_BOXES or double / drawn < DOUBLES:
        return []
    share = f"{double:,} of {counted(drawn, 'drawn box', 'drawn boxes')} ({percent(double / drawn)})"
    words = f"{share} lie on a thing that another box has found."
    return [(False, "The same thing drawn twice", words)]
