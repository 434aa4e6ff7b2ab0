"""What can be learnt: each task is its head, its loss, how its answers are packed, judged and shown."""

from collections.abc import Callable
from typing import Any

from visto.tasks.classification import Classification
from visto.tasks.multilabel import MultiLabel
from visto.types import Task

TASKS: dict[str, Callable[..., Task[Any, Any]]] = {"classification": Classification, "multilabel": MultiLabel}
