"""The .npz layout of MedMNIST: ``{train,val,test}_images`` and ``_labels`` in one NumPy archive."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from visto.data.arrays import ArraySplit, dataset_of_arrays
from visto.data.dataset import Dataset
from visto.errors import DataError
from visto.types import Split

_KEYS: dict[str, Split] = {"train": "train", "val": "validation", "test": "test"}
_EXPECTED = "train_images and train_labels (and the same for val and test)"


def recognises_npz(path: Path) -> bool:
    return npz_file(path) is not None


def read_npz(path: Path) -> Dataset:
    """Read an archive, or the only one in a folder. Classes are the label numbers as text.

    Raises DataError for damage, Python objects inside, other layouts, and more than one label an image.
    """
    file = npz_file(path)
    if file is None:
        raise DataError(f"not one .npz file in {path}", expected="a .npz file, or a folder with exactly one")
    try:
        with file.open("rb") as opened:  # np.load leaves a file open when it fails
            archive = np.load(opened, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise DataError(f"{file} is one array, not an archive", expected=_EXPECTED)
            arrays = {key: archive[key] for key in archive.files if key.rsplit("_", 1)[0] in _KEYS}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{file} cannot be read: {error}", expected="a whole .npz of plain arrays") from error
    splits = [
        ArraySplit(
            split=split,
            images=_images(arrays[f"{key}_images"]),
            labels=_labels(arrays[f"{key}_labels"], key),
        )
        for key, split in _KEYS.items()
        if f"{key}_images" in arrays and f"{key}_labels" in arrays
    ]
    halves = [key for key in _KEYS if (f"{key}_images" in arrays) != (f"{key}_labels" in arrays)]
    if not splits or halves:
        raise DataError(f"{file} holds {', '.join(arrays) or 'nothing that is known'}", expected=_EXPECTED)
    return dataset_of_arrays(name=file.stem, format="npz", splits=splits)


def npz_file(path: Path) -> Path | None:
    """The archive that ``path`` is, or the only one in that folder."""
    if path.is_dir():
        files = [file for file in path.glob("*.npz") if file.is_file() and not file.name.startswith(".")]
        return files[0] if len(files) == 1 else None
    return path if path.suffix.lower() == ".npz" and path.is_file() else None


def _images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images[..., None] if images.ndim == 3 else images


def _labels(labels: NDArray[np.int64], key: str) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{key}_labels has {labels.shape[1]} labels an image",
            expected="one class an image",
            hint="data with several labels an image is not supported yet",
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{key}_labels is {labels.dtype}", expected="whole numbers")
    return labels.reshape(-1).astype(np.int64)
