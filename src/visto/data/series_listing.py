"""The series at a path, for prediction: read as labelled ones are, but no label is needed."""

from collections.abc import Callable
from pathlib import Path

from visto.data.dataset import Dataset
from visto.data.lists import list_file
from visto.data.npz import npz_file
from visto.data.series_lines import read_series_lines
from visto.data.series_npz import read_series_npz
from visto.data.series_table import read_series_table
from visto.data.walk import readable
from visto.errors import DataError


def list_series(path: Path, name: str) -> Dataset:
    """A .npz, .jsonl, .csv or .tsv, or a folder with one of them. Raises DataError, which calls the path ``name``."""
    if not path.exists():
        raise DataError(f"{readable(name)} does not exist", expected="a .npz, .jsonl, .csv or .tsv of series")
    return _reader(path)(path)


def _reader(path: Path) -> Callable[[Path], Dataset]:
    if path.suffix.lower() == ".npz" or (path.is_dir() and npz_file(path) is not None):
        return lambda path: read_series_npz(path, labelled=False)
    listed = list_file(path)
    if listed is None:
        raise DataError(f"{readable(path.name)} holds no series", expected="a .npz, .jsonl, .csv or .tsv of series")
    if listed.suffix.lower() == ".jsonl":
        return lambda path: read_series_lines(path, labelled=False)
    return lambda path: read_series_table(path, labelled=False)
