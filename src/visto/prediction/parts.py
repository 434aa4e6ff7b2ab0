"""The parts of a recogniser that a manifest names: whatever runs its graph, they are the same."""

from pathlib import Path
from typing import Any

from visto.bundle import Manifest
from visto.errors import ModelError, UsageError
from visto.preprocess import PREPROCESS, Standard
from visto.tasks import TASKS
from visto.types import Task


def task_of(manifest: Manifest) -> Task[Any, Any]:
    """The task, with its head's arguments. Raises ModelError for one that this Visto does not know."""
    if manifest.task not in TASKS:
        raise ModelError(
            f"a bundle for the task {manifest.task!r}",
            expected=f"one of {', '.join(TASKS)}",
            hint="install a newer Visto",
        )
    return TASKS[manifest.task](classes=manifest.classes, **manifest.head)


def preprocess_of(manifest: Manifest, path: Path) -> Standard:
    """The preparation of images. Raises ModelError, which names ``path``."""
    try:
        return manifest.preprocess.build(PREPROCESS)  # type: ignore[no-any-return]
    except UsageError as error:
        raise ModelError(f"{path}: {error.message}", hint="install a newer Visto") from error
