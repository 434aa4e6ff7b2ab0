"""Figures as a person reads them: the best known first, those of single classes left for elsewhere."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from visto.cli.terminal import counted, printable, table
from visto.quantities import plural

if TYPE_CHECKING:
    from visto.evaluation import Group
    from visto.types import Figure

_FIRST = (
    "mse",
    "mae",
    "rmse",
    "gain_over_naive",
    "gain_over_linear",
    "coverage",
    "map",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "accuracy",
    "exact_match",
    "hamming_accuracy",
    "balanced_accuracy",
    "kappa",
    "precision",
    "recall",
    "f1",
    "micro_f1",
    "auroc",
    "average_precision",
    "mean_average_precision",
    "log_loss",
    "ece",
)

_OF_CLASSES = ("map", "map50", "precision", "recall", "f1", "mse", "mae")
_LESS_IS_BETTER = ("log_loss", "ece", "mse", "mae", "rmse")
_STEPS = "mse_step_"  # of a forecast: the error so many steps ahead

# a matrix of more classes than this does not fit a screen
_MATRIX_CLASSES = 12
_MATRIX_WIDTH = 110
_CONFUSIONS = 10
_GROUPS = 8


def less_is_better(name: str) -> bool:
    """
    >>> less_is_better("mse_step_3"), less_is_better("accuracy")
    (True, False)
    """
    return name in _LESS_IS_BETTER or name.startswith((_STEPS, "mse/", "mae/"))


def names_of(figures: "Mapping[str, Figure]") -> list[str]:
    """The figures over all classes; a bundle stores them by the alphabet."""
    whole = [name for name in figures if "/" not in name]
    order = {name: place for place, name in enumerate(_FIRST)}
    return sorted(whole, key=lambda name: (order.get(name, len(order)), _ahead(name)))


def _ahead(name: str) -> int:
    return int(name.removeprefix(_STEPS)) if name.startswith(_STEPS) else 0


def rows_of(figures: "Mapping[str, Figure]") -> list[tuple[str, str]]:
    """Name and value with its interval."""
    return [(name, str(figures[name])) for name in names_of(figures)]


def class_rows(figures: "Mapping[str, Figure]") -> list[tuple[str, ...]]:
    """The figures of each class, below their headings; nothing where no class has them."""
    names = list(dict.fromkeys(name.split("/", 1)[1] for name in figures if name.startswith(("f1/", "map/", "mse/"))))
    kinds = [kind for kind in _OF_CLASSES if any(f"{kind}/{name}" in figures for name in names)]
    rows = [(name, *(str(figures.get(f"{kind}/{name}", "")) for kind in kinds)) for name in names]
    first = "column" if "mse" in kinds else "class"
    return [(first, *kinds), *rows] if rows else []


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Which class is taken for which (K×K, row: truth): the whole matrix for a few classes, else the worst of it."""
    return _matrix(classes, counts) if len(classes) <= _MATRIX_CLASSES else _confusions(classes, counts)


def _matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    names = [printable(name) for name in classes]
    cells = [[str(count) if count else "." for count in row] for row in counts]

    def widths(heads: Sequence[str]) -> list[int]:
        return [max(len(head), *(len(row[k]) for row in cells)) + 2 for k, head in enumerate(heads)]

    heads = names
    if sum(widths(names)) + max(map(len, names)) > _MATRIX_WIDTH:
        heads = [str(k) for k in range(1, len(names) + 1)]
        names = [f"{k:>2} {name}" for k, name in zip(heads, names, strict=True)]
    left = max(map(len, names))
    lines = [" " * left + "".join(head.rjust(width) for head, width in zip(heads, widths(heads), strict=True))]
    for name, row in zip(names, cells, strict=True):
        lines.append(name.ljust(left) + "".join(c.rjust(width) for c, width in zip(row, widths(heads), strict=True)))
    return "\n".join(["taken for (a row is a true class):", *("  " + line for line in lines)])


def _confusions(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    wrong = [(n, truth, said) for truth, row in enumerate(counts) for said, n in enumerate(row) if n and truth != said]
    if not wrong:
        return "no class is taken for another"
    worst = sorted(wrong, key=lambda cell: -cell[0])[:_CONFUSIONS]
    rows = [
        (f"{classes[truth]} taken for {classes[said]}", counted(n, "time"), f"of {sum(counts[truth]):,}")
        for n, truth, said in worst
    ]
    return f"most often taken for another:\n{table(rows, indent='  ')}"


def worst_groups(groups: "Sequence[Group]", noun: str = "image") -> str:
    """A table of the first few groups of what ``noun`` names, which come worst first."""
    shown = groups[:_GROUPS]
    names = names_of(shown[0].figures)[:1]
    rows = [("group", plural(noun), *names)]
    rows += [(group.name, f"{group.n:,}", *(str(group.figures.get(name, "")) for name in names)) for group in shown]
    more = (
        f", the worst {len(shown)} of them (the rest with --json)" if len(shown) < len(groups) else ", the worst first"
    )
    return f"{counted(len(groups), 'group')}{more}:\n{table(rows, indent='  ')}"
