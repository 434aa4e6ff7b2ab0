"""Figures as a person reads them: the best known first, those of single classes left for elsewhere."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visto.types import Figure

_FIRST = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "log_loss", "ece")


def rows_of(figures: "Mapping[str, Figure]") -> list[tuple[str, str]]:
    """Name and value with its interval; a bundle stores them by the alphabet."""
    whole = [name for name in figures if "/" not in name]
    order = {name: place for place, name in enumerate(_FIRST)}
    return [(name, str(figures[name])) for name in sorted(whole, key=lambda name: order.get(name, len(order)))]
