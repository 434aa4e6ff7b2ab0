"""Figures from answers and targets."""

from collections.abc import Sequence
from typing import Any

import torch

from visto.metrics import figures
from visto.types import Answer, Figure, Metric, Task

# the share of images that are right, by whichever name the task has for it
RIGHT = ("accuracy", "exact_match")

Names = Sequence[str | None]


def judge(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], targets: Sequence[Any], groups: Names
) -> dict[str, Figure]:
    """All metrics of the task over N answers and targets, each with its 95 % interval (by group where there are)."""
    metrics = filled(task, answers, targets)
    return figures(metrics, n=len(answers), groups=groups if any(groups) else None)


def filled(task: Task[Any, Any], answers: Sequence[Answer[Any]], targets: Sequence[Any]) -> Sequence[Metric[Any]]:
    """New metrics of the task that have seen N answers and targets."""
    metrics = task.metrics()
    for metric in metrics:
        metric.update(torch.arange(len(answers)), [answer.value for answer in answers], targets)
    return metrics
