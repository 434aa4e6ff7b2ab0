"""CIFAR-10 and CIFAR-100 in their binary form: records of label bytes and a planar 32×32 colour image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visto.data.arrays import ArraySplit, dataset_of_arrays
from visto.data.dataset import Dataset
from visto.data.ledger import Entry
from visto.errors import DataError
from visto.types import Split

_SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    files: tuple[tuple[Split, str], ...]
    names: str
    label_bytes: int  # the last of them is the class: CIFAR-100 has a coarse label before it


_VARIANTS = (
    _Variant(
        files=(*(("train", f"data_batch_{k}.bin") for k in range(1, 6)), ("test", "test_batch.bin")),
        names="batches.meta.txt",
        label_bytes=1,
    ),
    _Variant(files=(("train", "train.bin"), ("test", "test.bin")), names="fine_label_names.txt", label_bytes=2),
)


def recognises_cifar(path: Path) -> bool:
    return _variant(path) is not None


def read_cifar(path: Path) -> Dataset:
    """Read the batches that are there; a missing one goes to the ledger.

    Raises DataError for a file that is not whole records, and for labels without a name.
    """
    variant = _variant(path)
    if variant is None:
        raise DataError(f"no CIFAR files in {path}", expected="data_batch_1.bin and batches.meta.txt, or train.bin …")
    classes = [line.strip() for line in (path / variant.names).read_text("utf-8").splitlines() if line.strip()]
    splits = [_read(path / name, split, variant) for split, name in variant.files if (path / name).is_file()]
    missing = [name for _, name in variant.files if not (path / name).is_file()]
    ledger = [Entry(id=name, status="rejected", reason="a batch that is not there") for name in missing]
    return dataset_of_arrays(name=path.resolve().name, format="cifar", splits=splits, classes=classes, ledger=ledger)


def _variant(path: Path) -> _Variant | None:
    for variant in _VARIANTS:
        if (path / variant.names).is_file() and any((path / name).is_file() for _, name in variant.files):
            return variant
    return None


def _read(path: Path, split: Split, variant: _Variant) -> ArraySplit:
    length = variant.label_bytes + 3 * _SIDE * _SIDE
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not len(content) or len(content) % length:
        raise DataError(
            f"{path} holds {len(content):,} bytes", expected=f"whole records of {length}", hint="download it again"
        )
    records = content.reshape(-1, length)
    planes = records[:, variant.label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
    labels = records[:, variant.label_bytes - 1].astype(np.int64)
    return ArraySplit(split=split, images=planes.transpose(0, 2, 3, 1), labels=labels)
