"""What can be learnt: each task is its head, its loss, how its answers are packed, judged and shown."""

from collections.abc import Callable
from typing import Any

from visto.tasks.classification import Classification
from visto.tasks.detection import Detection
from visto.tasks.forecast import Forecast
from visto.tasks.multilabel import MultiLabel
from visto.tasks.sequence import sequence
from visto.types import Task

TASKS: dict[str, Callable[..., Task[Any, Any]]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "detection": Detection,
    "sequence": sequence,
    "forecast": Forecast,
}


def names_one_class(task: str) -> bool:
    """Whether an image has exactly one of the classes in this task, not several labels or none; a sequence is no image.

    >>> names_one_class("classification"), names_one_class("multilabel")
    (True, False)
    """
    it = TASKS[task](classes=("a", "b"))
    return it.needs == "logits" and it.blend == "softmax" and not it.sequences
