"""Sequences: one class out of K for each clip or series. What differs from images is how they are augmented."""

from collections.abc import Sequence

from visto.data.augment import AUGMENTATIONS
from visto.data.augment_steps import STEP_AUGMENTATIONS
from visto.tasks.classification import Classification

_UNSUITED = {
    "ensemble",
    "features",
    "learning_curve",
    "mixup",
    "prepare",
    "read_as",
    "repeats",
    "second_look",
    "tune",
    "unfreeze",
}


def sequence(
    *,
    classes: Sequence[str],
    temperature: float = 1.0,
    quantiles: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Classification:
    """Classification whose inputs are sequences; arguments as there."""
    task = Classification(
        classes=classes, temperature=temperature, quantiles=quantiles, label_smoothing=label_smoothing
    )
    task.sequences = True
    task.unsuited = frozenset(_UNSUITED)
    task.augmentations = (*AUGMENTATIONS, *STEP_AUGMENTATIONS)
    return task
