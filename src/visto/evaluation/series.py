"""What is judged of a series: cut as the model wants it, and nothing that has a row in common with what made it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from visto.data.dataset import Dataset, Item
from visto.data.windows import for_judging, untouched
from visto.errors import DataError, UsageError
from visto.evaluation.choice import check_kind, choose
from visto.prediction import Recogniser
from visto.tasks.forecast import Forecast
from visto.types import Split


def as_wanted(dataset: Dataset, recogniser: Recogniser, task: str) -> Dataset:
    """The data as the model takes them: a series in its columns, windows and steps ahead, anything else as it is.

    Raises DataError where the model takes inputs of another kind.
    """
    ours = recogniser.task
    if (dataset.task == "forecast") != isinstance(ours, Forecast):
        raise DataError(
            f"the data is for {dataset.task}, the model does {task}",
            expected=f"data for {task}",
            hint="see visto formats",
        )
    if isinstance(ours, Forecast):
        return for_judging(dataset, ours.classes, ours.window, ours.horizon)
    check_kind(dataset, recogniser.fit)
    return dataset


def fresh(items: Sequence[Item], known_n: Tensor, dataset: Dataset) -> Tensor:
    """Which of N items may be judged: those that are not known, and of a series foretell no row that is."""
    return untouched(items, known_n) if dataset.task == "forecast" else ~known_n


def items_of_both(
    a: Recogniser, b: Recogniser, dataset: Dataset, tasks: tuple[str, str], split: Split | None
) -> tuple[str, list[Item], list[Item]]:
    """What is judged, and the windows of the same steps to foretell for each of two models, which may look back at
    more or less. Those of one stretch of time are a group of what looks back at more.

    Raises UsageError where they foretell unlike numbers of steps, DataError.
    """
    one, other = a.task, b.task
    if isinstance(one, Forecast) and isinstance(other, Forecast) and one.horizon != other.horizon:
        raise UsageError(
            f"A foretells {one.horizon}, B {other.horizon} steps", expected="two models of the same horizon"
        )
    named, first = choose(as_wanted(dataset, a, tasks[0]), split)
    _, second = choose(as_wanted(dataset, b, tasks[1]), split)
    theirs = {item.id: item for item in second}
    ours = [item for item in first if item.id in theirs]
    pairs = [(item, theirs[item.id]) for item in ours]
    if isinstance(one, Forecast) and isinstance(other, Forecast) and other.window > one.window:
        ours = [replace(item, group=theirs_.group) for item, theirs_ in pairs]
    return named, ours, [theirs_ for _, theirs_ in pairs]


def all_fresh(pairs: Sequence[tuple[Sequence[Item], Tensor]], dataset: Dataset) -> Tensor:
    """Which items may be judged for every one of some models."""
    return torch.stack([fresh(items, known, dataset) for items, known in pairs]).all(0)
