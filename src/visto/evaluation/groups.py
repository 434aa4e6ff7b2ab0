"""The figures of each group of images: where does the recogniser fail?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from visto.evaluation.judge import RIGHT, Names, filled
from visto.metrics import wilson
from visto.metrics.intervals import Proportional
from visto.types import Answer, Figure, Task

_GROUPS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The ``n`` images of one patient, scene or whatever ``name`` names, and how well they were recognised."""

    name: str
    n: int
    figures: Mapping[str, Figure]

    def to_json(self) -> dict[str, object]:
        return {
            "group": self.name,
            "n": self.n,
            "metrics": {name: figure.to_json() for name, figure in self.figures.items()},
        }


def judge_groups(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], targets: Sequence[Any], groups: Names
) -> tuple[Group, ...]:
    """The plain proportions of each group of images, with Wilson's interval; the worst first.

    They are the share of images that are right and the recall of each class that the group has: an F1 or an AUROC
    of a few images of one class would say nothing. The worst group is the one whose right answers are bounded
    lowest from above, so that twenty images half wrong stand before one that is wrong; small groups need no
    merging. Images without a group are left out; none where every group is a single image.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(groups):
        if name is not None:
            places.setdefault(name, []).append(place)
    if all(len(rows) == 1 for rows in places.values()) or not any(isinstance(m, Proportional) for m in task.metrics()):
        return ()
    found: list[Group] = []
    names = list(places)
    for start in range(0, len(names), _GROUPS_AT_ONCE):
        some = {name: places[name] for name in names[start : start + _GROUPS_AT_ONCE]}
        found += _shares(task, answers, targets, some)
    found = [group for group in found if group.figures]  # a forecast is not just right or wrong
    return tuple(sorted(found, key=lambda group: (_bound(group), group.name)))


def _shares(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], targets: Sequence[Any], places: Mapping[str, Sequence[int]]
) -> list[Group]:
    rows = [row for some in places.values() for row in some]
    metrics = filled(task, [answers[row] for row in rows], [targets[row] for row in rows])
    sizes = torch.tensor([len(some) for some in places.values()])
    # a group is a weighting: 1 for its images, 0 for the others
    weights = torch.eye(len(places)).double().repeat_interleave(sizes, dim=0)
    figures_of: list[dict[str, Figure]] = [{} for _ in places]
    for metric in metrics:
        shares = metric.proportions(weights) if isinstance(metric, Proportional) else {}
        for name, (successes, trials) in shares.items():
            if "/" in name and not name.startswith("recall/"):
                continue
            low, high = wilson(successes, trials)
            table = torch.stack([successes / trials, low, high], dim=1).tolist()
            for figures_, (value, least, most) in zip(figures_of, table, strict=True):
                if value == value:
                    figures_[name] = Figure(value=value, low=least, high=most)
    return [
        Group(name=name, n=len(some), figures=known)
        for (name, some), known in zip(places.items(), figures_of, strict=True)
    ]


def _bound(group: Group) -> float:
    highs = [group.figures[name].high for name in RIGHT if name in group.figures]
    return highs[0] if highs and highs[0] is not None else 1.0
