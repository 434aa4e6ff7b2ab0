"""What holds for single classes and groups: tables, the weakest first, cut where they grow too long, and said so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visto.evaluation import Group
from visto.report.words import amount, interval, kind, shown
from visto.types import Figure

MOST_ROWS = 100
_KINDS = ("map", "map50", "recall", "precision", "f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value as it is read, its interval below, and the number to sort by (-1: none)."""

    value: str
    below: str = ""
    order: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``names`` of the columns but the first, rows as (name, cells), and how many more rows there are."""

    first: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    more: int = 0


def number(value: int) -> Cell:
    return Cell(value=f"{value:,}", order=value)


def figure_cell(name: str, figure: Figure | None) -> Cell:
    """
    >>> figure_cell("f1", None).value
    '–'
    """
    if figure is None:
        return Cell(value="–")
    return Cell(value=amount(name, figure.value), below=interval(name, figure), order=figure.value)


def class_table(
    classes: Sequence[str],
    figures: Mapping[str, Figure],
    have: Sequence[int],
    counts: Mapping[str, Sequence[int]],
    things: str,
) -> Table:
    """Each class with its ``things`` (images or boxes), its own figures and other ``counts`` (by their column).

    The lowest mAP first where there is one, else the lowest F1.
    """
    kinds = [name for name in _KINDS if any(f"{name}/{label}" in figures for label in classes)]

    def weakness(k: int) -> tuple[bool, float, int]:
        names = ("map",) if "map" in kinds else ("f1", "recall")
        figure = next((figures[f"{name}/{classes[k]}"] for name in names if f"{name}/{classes[k]}" in figures), None)
        return figure is None, figure.value if figure else 0.0, k

    order = sorted(range(len(classes)), key=weakness)
    rows = []
    for k in order[:MOST_ROWS]:
        cells = [figure_cell(name, figures.get(f"{name}/{classes[k]}")) for name in kinds]
        others = [number(column[k]) for column in counts.values()]
        rows.append((shown(classes[k]), [number(have[k]), *cells, *others]))
    names = [things.capitalize(), *(kind(name).title for name in kinds), *counts]
    return Table(first="Class", names=names, rows=rows, more=max(0, len(order) - MOST_ROWS))


def split_table(
    classes: Sequence[str], listed: Mapping[str, Mapping[str, int]], judged: Mapping[str, Sequence[int]]
) -> Table:
    """Images by class: as listed in each split, where that is known, and as judged; the rarest class first.

    ``judged`` has the counts of what was judged, by column.
    """
    counts = {split.capitalize(): [per.get(label, 0) for label in classes] for split, per in listed.items()}
    counts |= {name: list(column) for name, column in judged.items()}
    leading = next(iter(counts.values()))
    order = sorted(range(len(classes)), key=lambda k: (leading[k], k))
    rows = [(shown(classes[k]), [number(column[k]) for column in counts.values()]) for k in order[:MOST_ROWS]]
    return Table(first="Class", names=list(counts), rows=rows, more=max(0, len(order) - MOST_ROWS))


def group_table(groups: Sequence[Group], things: str = "images") -> Table | None:
    """Each group with its ``things`` and its plain proportions, the worst first as they come.

    None without groups, and for figures that are no plain proportions (those of boxes).
    """
    if not groups:
        return None
    names = list(dict.fromkeys(name for group in groups for name in group.figures if "/" not in name))
    if not names:
        return None
    rows = [
        (shown(group.name), [number(group.n), *(figure_cell(name, group.figures.get(name)) for name in names)])
        for group in groups[:MOST_ROWS]
    ]
    columns = [things.capitalize(), *(kind(name).title for name in names)]
    return Table(first="Group", names=columns, rows=rows, more=max(0, len(groups) - MOST_ROWS))
