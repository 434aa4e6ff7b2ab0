"""Which class is taken for which: the whole matrix where it can be taken in, else the pairs most often mistaken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visto.report.words import counted, percent, shown

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
    """``rows`` of (true class, its images, cells), empty where the classes are too many. ``more``: pairs not shown."""

    names: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[HeatCell]]]
    pairs: Sequence[Pair]
    more: int
    upright: bool


def confusion(details: Mapping[str, Any], classes: Sequence[str]) -> Confusion | None:
    """None where the task has no confusion matrix."""
    if "confusion" not in details:
        return None
    counts: Sequence[Sequence[int]] = details["confusion"]["counts"]
    totals = [sum(row) for row in counts]
    wrong = [(n, t, a) for t, row in enumerate(counts) for a, n in enumerate(row) if n and t != a]
    wrong.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    names = [shown(name) for name in classes]
    small = len(classes) <= MOST_CLASSES
    most = 8 if small else MOST_PAIRS
    rows = (
        [(shown(classes[t], _NAME), totals[t], _cells(row, t, names)) for t, row in enumerate(counts)] if small else []
    )
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


def _cells(row: Sequence[int], truth: int, names: Sequence[str]) -> list[HeatCell]:
    total = sum(row)
    cells = []
    for answer, n in enumerate(row):
        share = n / total if total else 0.0
        words = f"{names[truth]}, answered {names[answer]}: {n:,} of {counted(total, 'image')}"
        # a single image in a large row still shows
        heat = max(1, round(10 * share)) if n else 0
        cells.append(HeatCell(text=f"{n:,}", heat=heat, words=words, right=answer == truth))
    return cells
