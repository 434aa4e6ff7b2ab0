"""Reading data for a command, and saying what was found."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from visto.cli.terminal import Terminal, counted
from visto.data import read, read_again
from visto.data.dataset import Dataset, noun_of
from visto.types import SPLITS


def read_aloud(data: str, format: str | None, split_seed: int, group_by: str | None, voice: Terminal) -> Dataset:
    """Read a data set to learn from; print its format, task and splits. Raises DataError, UsageError."""
    return _said(read(data, format=format, split_seed=split_seed, group_by=group_by), voice, splits=True)


def read_again_aloud(
    data: str, format: str | None, made_from: Mapping[str, Any], voice: Terminal, *, splits: bool = True
) -> Dataset:
    """Read a data set as a model's own was, which its manifest describes, and print its splits where they matter."""
    return _said(read_again(data, made_from, format=format), voice, splits=splits)


def _said(dataset: Dataset, voice: Terminal, *, splits: bool) -> Dataset:
    found = Counter([item.split for item in dataset.items])
    sizes = ", ".join(f"{found[name]:,} {name}" for name in SPLITS if found[name])
    origin = "" if dataset.declared else " (split by us)"
    amount = f"{sizes}{origin}" if splits or dataset.declared else counted(len(dataset), noun_of(dataset.items))
    voice.say(f"{dataset.name}: {dataset.format}, {dataset.task}; {amount}")
    for note in dataset.notes:
        voice.say(note)
    return dataset
