"""Figures from answers and targets."""

from collections.abc import Sequence
from typing import Any

import torch

from visto.metrics import figures
from visto.types import Answer, Figure, Task


def judge(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], targets: Sequence[Any], groups: Sequence[str | None]
) -> dict[str, Figure]:
    """All metrics of the task over N answers and targets, each with its 95 % interval (by group where there are)."""
    rows = torch.arange(len(answers))
    values = [answer.value for answer in answers]
    metrics = task.metrics()
    for metric in metrics:
        metric.update(rows, values, targets)
    return figures(metrics, n=len(answers), groups=groups if any(groups) else None)
