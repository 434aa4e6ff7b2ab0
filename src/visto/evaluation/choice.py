"""Which items of a data set are judged, and with the model's class indices."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from visto.data.dataset import Dataset, Item, noun_of
from visto.errors import DataError
from visto.preprocess import Fit, StepsFit
from visto.quantities import plural
from visto.types import Split, Task


def check_kind(dataset: Dataset, fit: Fit | StepsFit) -> None:
    """Raise DataError where the inputs are not what a model takes: images, clips or series."""
    have = noun_of(dataset.items)
    if dataset.items and have != fit.noun:
        clips = "if they are the frames of clips, --format clip-folders reads them so"
        raise DataError(
            f"{dataset.name} has {plural(have)}, the model is for {plural(fit.noun)}",
            expected=plural(fit.noun),
            hint=clips if (have, fit.noun) == ("image", "clip") else "see visto formats",
        )


def choose(dataset: Dataset, split: Split | None) -> tuple[str, Sequence[Item]]:
    """The name of what is judged, and its items. Raises DataError where the asked split is not there."""
    if split:
        # where the reader has made the declared validation part the test, its name still means it
        meant = "test" if split == "validation" and dataset.declared & {"validation", "test"} == {split} else split
        items = [item for item in dataset.items if item.split == meant]
        if not items:
            nouns = plural(noun_of(dataset.items))
            raise DataError(f"{dataset.name} has no {nouns} in {split}", hint="leave --split out, or name another one")
        return split, items
    if dataset.declared & {"validation", "test"}:
        # data with train and validation but no test: the reader has made the validation part the test
        name = "test" if "test" in dataset.declared else "validation"
        return name, [item for item in dataset.items if item.split == "test"]
    return "all", dataset.items


def relabel(items: Sequence[Item], task: Task[Any, Any], theirs: Sequence[str], ours: Sequence[str]) -> list[Item]:
    """The labelled items, with the model's class indices for the data's. Raises DataError for a class it lacks."""
    labelled = [item for item in items if item.target is not None]
    used = sorted({k for item in labelled if item.target is not None for k in item.target.classes})
    unknown = [theirs[k] for k in used if theirs[k] not in ours]
    if unknown:
        raise DataError(
            f"the data has class {', '.join(map(repr, unknown[:5]))}, which the model does not know",
            expected=f"some of {', '.join(map(repr, ours[:20]))}",
        )
    places = {k: ours.index(theirs[k]) for k in used}
    return [replace(item, target=task.relabel(item.target, places)) for item in labelled]
