"""Reading data for a command, and saying what was found."""

from visto.cli.terminal import Terminal
from visto.data import read
from visto.data.dataset import Dataset


def read_aloud(data: str, format: str | None, split_seed: int, voice: Terminal) -> Dataset:
    """Read a data set and print its format, task and splits. Raises DataError, UsageError."""
    dataset = read(data, format=format, split_seed=split_seed)
    parts = (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts if len(part))
    origin = "" if dataset.declared else " (split by us)"
    voice.say(f"{dataset.name}: {dataset.format}, {dataset.task}; {sizes}{origin}")
    return dataset
