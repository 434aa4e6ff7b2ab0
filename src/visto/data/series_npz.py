"""Series in one NumPy archive: ``{train,val,test}_series`` and ``_labels``, or ``series`` and ``labels``.

``series`` are N×T or N×T×F. The shorter ones end where ``lengths`` (N) or ``masks`` (N×T) say, or else where only NaN
follows. ``groups`` (N) keep together what is of one person.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.data.npz import npz_file
from visto.data.series import Raw, dataset_of_series
from visto.data.walk import nfc
from visto.errors import DataError
from visto.types import Split

_PARTS: dict[str, Split | None] = {"train_": "train", "val_": "validation", "test_": "test", "": None}
_KINDS = ("series", "labels", "lengths", "masks", "groups")
_EXPECTED = "train_series (N×T or N×T×F) and train_labels (N), and the same for val and test; or series and labels"


def recognises_series_npz(path: Path) -> bool:
    """By the names of the arrays in it."""
    file = npz_file(path)
    if file is None:
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return False
    return any(f"{part}series.npy" in names for part in _PARTS)


def read_series_npz(path: Path, *, labelled: bool = True) -> Dataset:
    """Read an archive, or the only one in a folder. Classes are the labels as text; not ``labelled``, none are needed.

    Raises DataError for damage, Python objects inside, other layouts, and arrays that do not belong together.
    """
    file = npz_file(path)
    if file is None:
        raise DataError(f"not one .npz file in {path}", expected="a .npz file, or a folder with exactly one")
    arrays = _arrays(file)
    parts = [part for part in _PARTS if f"{part}series" in arrays]
    if not parts or (labelled and any(f"{part}labels" not in arrays for part in parts)):
        raise DataError(f"{file} holds {', '.join(arrays) or 'nothing that is known'}", expected=_EXPECTED)
    if "" in parts and len(parts) > 1:
        raise DataError(f"{file} holds series beside {parts[0]}series", expected=_EXPECTED)
    found: list[Raw] = []
    ledger: list[Entry] = []
    for part in parts:
        _read_part(arrays, part, found, ledger)
    return dataset_of_series(name=file.stem, format="series-npz", found=found, ledger=ledger)


def _arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    wanted = {part + kind for part in _PARTS for kind in _KINDS}
    try:
        with file.open("rb") as opened:  # np.load leaves a file open when it fails
            archive = np.load(opened, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise DataError(f"{file} is one array, not an archive", expected=_EXPECTED)
            return {key: archive[key] for key in archive.files if key in wanted}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{file} cannot be read: {error}", expected="a whole .npz of plain arrays") from error


def _read_part(arrays: dict[str, NDArray[np.generic]], part: str, found: list[Raw], ledger: list[Entry]) -> None:
    name = f"{part}series"
    series = _series(arrays[name], name)
    count, steps = series.shape[:2]
    labels = _names(arrays, f"{part}labels", count, name) if f"{part}labels" in arrays else [""] * count
    groups = _names(arrays, f"{part}groups", count, name) if f"{part}groups" in arrays else None
    if (masks := arrays.get(f"{part}masks")) is not None:
        if masks.dtype != np.bool_ or masks.shape != (count, steps):
            raise DataError(f"{part}masks are {masks.dtype} {masks.shape}", expected=f"bool {(count, steps)}")
        series = np.where(masks[..., None], series, np.float32(np.nan))
    lengths = _lengths(arrays.get(f"{part}lengths"), series, f"{part}lengths")
    head = _PARTS[part] or "all"
    for row, length in enumerate(lengths.tolist()):
        id = f"{head}:{row}"
        if not 0 <= length <= steps:
            ledger.append(
                Entry(id=id, status="rejected", reason=f"a length of {length}, where there are {steps} steps")
            )
            continue
        group = groups[row] if groups else None
        found.append(Raw(id=id, values=series[row, :length], label=labels[row], split=_PARTS[part], group=group))


def _lengths(given: NDArray[np.generic] | None, series: NDArray[np.float32], name: str) -> NDArray[np.int64]:
    """How many steps each series has: as given, else up to the last one with a number in it."""
    count, steps = series.shape[:2]
    if given is None:
        there = np.logical_or.reduce(~np.isnan(series), axis=2)
        return np.where(there.any(axis=1), steps - there[:, ::-1].argmax(axis=1), 0)
    if given.dtype.kind not in "iu" or given.size != count:
        raise DataError(f"{name} are {given.dtype} {given.shape}", expected=f"{count} whole numbers")
    return given.reshape(-1).astype(np.int64)


def _series(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiub":
        raise DataError(f"{name} is {array.dtype} {array.shape}", expected="numbers, N×T or N×T×F")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is mended and said like that
        numbers = array.astype(np.float32)
    return numbers if array.ndim == 3 else numbers[..., None]


def _names(arrays: dict[str, NDArray[np.generic]], key: str, count: int, name: str) -> list[str]:
    array = arrays[key]
    if array.dtype.kind not in "iuUb" or array.size != count:
        raise DataError(
            f"{key} is {array.dtype} {array.shape} for {count} of {name}",
            expected="one whole number or text a series",
        )
    return [nfc(str(value)) for value in array.reshape(-1).tolist()]
