"""From arrays of images and label numbers to a Dataset: what the formats share that are not a file an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visto.data.dataset import Dataset, Item, PixelRow
from visto.data.ledger import Entry
from visto.errors import DataError
from visto.types import Label, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySplit:
    """``images`` N×H×W×C uint8 (C is 1 or 3) and ``labels`` N int64; ``split`` None for a data set without."""

    split: Split | None
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        place = self.split or "the data"
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] not in (1, 3):
            raise DataError(
                f"images of {place} are {self.images.dtype} {self.images.shape}", expected="uint8 N×H×W or N×H×W×3"
            )
        if self.labels.ndim != 1 or len(self.labels) != len(self.images):
            raise DataError(f"{len(self.images)} images but labels {self.labels.shape} in {place}")


def dataset_of_arrays(
    *,
    name: str,
    format: str,
    splits: Sequence[ArraySplit],
    classes: Sequence[str] | None = None,
    ledger: Sequence[Entry] = (),
) -> Dataset:
    """One item a row, with the id ``split:number``; several parts of one split are counted through.

    Without ``classes`` they are the label numbers that occur, as text. Raises DataError where there is no image, or
    a label without a class.
    """
    numbers = sorted({int(n) for part in splits for n in np.unique(part.labels)})
    if not numbers:
        raise DataError(f"no images in {name}")
    if classes is None:
        classes = [str(n) for n in numbers]
        labels = {n: Label(index=index) for index, n in enumerate(numbers)}
    else:
        if numbers[0] < 0 or numbers[-1] >= len(classes):
            raise DataError(f"label numbers {numbers[0]} to {numbers[-1]}", expected=f"0 to {len(classes) - 1}")
        labels = {n: Label(index=n) for n in range(len(classes))}
    items: list[Item] = []
    counted: dict[Split | None, int] = {}
    for part in splits:
        start = counted.get(part.split, 0)
        counted[part.split] = start + len(part.labels)
        head = part.split or "all"
        items += [
            Item(f"{head}:{start + row}", PixelRow(part.images, row), labels[n], part.split)
            for row, n in enumerate(part.labels.tolist())
        ]
    return Dataset(
        name=name,
        format=format,
        task="classification",
        classes=tuple(classes),
        items=tuple(items),
        ledger=tuple(ledger),
        declared=frozenset(part.split for part in splits if part.split and len(part.labels)),
    )
