"""The IDX files of MNIST and its family: images and labels in two files a split, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visto.data.arrays import ArraySplit, dataset_of_arrays
from visto.data.dataset import Dataset
from visto.errors import DataError
from visto.types import Split

_IMAGES, _LABELS = 0x0803, 0x0801  # unsigned bytes in three dimensions and in one
_DEFLATE_LIMIT = 1_100  # gzip makes nothing smaller than by 1,032: a head that says more lies
_STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}


def recognises_idx(path: Path) -> bool:
    return _file(path, "train", "images", 3) is not None or _file(path, "test", "images", 3) is not None


def read_idx(path: Path) -> Dataset:
    """Read ``train-images-idx3-ubyte[.gz]`` and its three siblings; the ``t10k`` pair may be missing.

    Raises DataError for a wrong magic number, truncated or trailing content, or counts that disagree.
    """
    splits = []
    for split in _STEMS:
        images, labels = _file(path, split, "images", 3), _file(path, split, "labels", 1)
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            raise DataError(
                f"{path} has only one of images and labels for {split}",
                expected=f"{_STEMS[split]}-images-idx3-ubyte and {_STEMS[split]}-labels-idx1-ubyte (or .gz)",
            )
        pixels, numbers = _read(images, _IMAGES), _read(labels, _LABELS)
        splits.append(ArraySplit(split=split, images=pixels[..., None], labels=numbers.astype(np.int64)))
    return dataset_of_arrays(name=path.resolve().name, format="idx", splits=splits)


def _file(path: Path, split: Split, what: str, rank: int) -> Path | None:
    for separator in ("-", "."):
        for suffix in ("", ".gz"):
            file = path / f"{_STEMS[split]}-{what}{separator}idx{rank}-ubyte{suffix}"
            if file.is_file():
                return file
    return None


def _read(path: Path, magic: int) -> NDArray[np.uint8]:
    rank = magic & 0xFF
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4 + 4 * rank)
            head = np.frombuffer(start[: len(start) // 4 * 4], ">u4")
            if len(head) != 1 + rank or head[0] != magic:
                met = start[:4].hex() or "nothing"
                raise DataError(f"{path} begins with {met}", expected=f"the IDX magic number {magic:08x}")
            shape = tuple(int(n) for n in head[1:])
            if math.prod(shape) > _DEFLATE_LIMIT * path.stat().st_size:
                raise DataError(f"{path} holds less than the {math.prod(shape):,} bytes that its head says")
            # one byte more than said shows trailing content
            body = file.read(math.prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged: {error}", hint="download it again") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(body) != math.prod(shape):
        met = "more" if len(body) > math.prod(shape) else f"{len(body):,}"
        raise DataError(
            f"{path} holds {met} bytes of content",
            expected=f"{math.prod(shape):,}, as its head says",
            hint="download it again",
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
