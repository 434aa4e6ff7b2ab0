"""Reading data for a command, and saying what was found."""

from collections import Counter

from visto.cli.terminal import Terminal, counted
from visto.data import read
from visto.data.dataset import Dataset
from visto.types import SPLITS


def read_aloud(data: str, format: str | None, split_seed: int, voice: Terminal, *, splits: bool = True) -> Dataset:
    """Read a data set and print its format and task, and its splits where they matter. Raises DataError, UsageError."""
    dataset = read(data, format=format, split_seed=split_seed)
    found = Counter([item.split for item in dataset.items])
    sizes = ", ".join(f"{found[name]:,} {name}" for name in SPLITS if found[name])
    origin = "" if dataset.declared else " (split by us)"
    amount = f"{sizes}{origin}" if splits or dataset.declared else counted(len(dataset), "image")
    voice.say(f"{dataset.name}: {dataset.format}, {dataset.task}; {amount}")
    return dataset
