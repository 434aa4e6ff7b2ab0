"""Which class is taken for which: the whole matrix where it can be taken in, else the pairs most often mistaken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visto.report.words import counted, percent, shown

NOTHING = "(nothing)"
MOST_CLASSES = 25
MOST_PAIRS = 25
_NAME = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """A count, the tenth of its row that it is (0–10; 0 also where it is none), and what it says in words."""

    text: str
    heat: int
    words: str
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One class taken for another so often."""

    truth: str
    answer: str
    count: int
    of: int
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """``rows`` of (true class, its images, cells), empty where the classes are too many. ``more``: pairs not shown.

    Of boxes, the last row and column are ``NOTHING``: what was drawn where there is none, and what was missed; they
    are in no pair.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[HeatCell]]]
    pairs: Sequence[Pair]
    more: int
    upright: bool


def confusion(details: Mapping[str, Any], classes: Sequence[str], things: tuple[str, str]) -> Confusion | None:
    """None where the task has no confusion matrix. ``things``: what is counted, one and many."""
    counts: Sequence[Sequence[int]] = []
    if "box_confusion" in details:
        counts, classes = details["box_confusion"], [*classes, NOTHING]
    elif "confusion" in details:
        counts = details["confusion"]["counts"]
    if not counts:
        return None
    totals = [sum(row) for row in counts]
    # what is missed or imagined is no confusion: it would crowd out the pairs, and is in the table of classes
    last = len(classes) - (classes[-1] == NOTHING)
    wrong = [(n, t, a) for t, row in enumerate(counts[:last]) for a, n in enumerate(row[:last]) if n and t != a]
    wrong.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    names = [shown(name) for name in classes]
    small = len(classes) <= MOST_CLASSES + ("box_confusion" in details)
    most = 8 if small else MOST_PAIRS
    rows = []
    if small:
        cells = [_cells(row, t, names, things) for t, row in enumerate(counts)]
        if classes[-1] == NOTHING:
            cells[-1][-1] = HeatCell(text="–", heat=0, words="nothing, and nothing drawn: not counted", right=True)
        rows = [(shown(name, _NAME), total, row) for name, total, row in zip(classes, totals, cells, strict=True)]
    pairs = [
        Pair(truth=names[t], answer=names[a], count=n, of=totals[t], share=percent(n / totals[t]))
        for n, t, a in wrong[:most]
    ]
    return Confusion(
        names=[shown(name, _NAME) for name in classes] if small else [],
        rows=rows,
        pairs=pairs,
        more=len(wrong) - len(pairs),
        upright=small and (len(classes) > 8 or max(map(len, classes)) > 9),
    )


def _cells(row: Sequence[int], truth: int, names: Sequence[str], things: tuple[str, str]) -> list[HeatCell]:
    total = sum(row)
    cells = []
    for answer, n in enumerate(row):
        share = n / total if total else 0.0
        words = f"{names[truth]}, answered {names[answer]}: {n:,} of {counted(total, *things)}"
        # a single image in a large row still shows
        heat = max(1, round(10 * share)) if n else 0
        cells.append(HeatCell(text=f"{n:,}", heat=heat, words=words, right=answer == truth))
    return cells
