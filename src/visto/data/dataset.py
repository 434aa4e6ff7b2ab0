"""A data set as listed, before any pixel is decoded: items, classes, splits and the ledger so far."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visto.data.ledger import Entry
from visto.types import Future, Split, Target

DIGEST_BYTES = 16
_DIGESTED_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class PixelRow:
    """One image inside an array N×H×W×C (uint8): for formats that are not a file an image."""

    array: NDArray[np.uint8]
    row: int

    @property
    def pixels(self) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self.array[self.row]
        return pixels


@dataclass(frozen=True, slots=True)
class Clip:
    """Pictures in the order in which they were taken: one a file, or (``moving``) all in one GIF, WebP or video."""

    files: tuple[Path, ...]
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """A series of numbers, T steps of F each: rows ``start`` to ``stop`` of an array M×F (float32, without NaN)."""

    array: NDArray[np.float32]
    start: int
    stop: int

    @property
    def values(self) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self.array[self.start : self.stop]
        return values


Source = Path | PixelRow | Clip | Steps


def content_digest(content: bytes | NDArray[np.uint8]) -> bytes:
    """16 bytes that name a content: BLAKE2b of the file's bytes, or of the pixels where there is no file an image."""
    data = content if isinstance(content, bytes) else np.ascontiguousarray(content).data
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def row_digests(array: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The ``content_digest`` of each of N rows of an array of images, N×16."""
    found = bytearray()
    for start in range(0, len(rows), _DIGESTED_AT_ONCE):
        images = array[rows[start : start + _DIGESTED_AT_ONCE]]
        # channel by channel: where each is a plane, as in CIFAR, a plain copy takes three times as long
        images = np.stack([images[..., channel] for channel in range(images.shape[3])], axis=-1)
        for pixels in images.reshape(len(images), math.prod(images.shape[1:])):
            found += hashlib.blake2b(pixels.data, digest_size=DIGEST_BYTES).digest()
    return np.frombuffer(found, np.uint8).reshape(-1, DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Item:
    """One example as listed: ``id`` is its path below the root, or split:number where there is no file an image.

    ``target`` is None where the label is not known. ``split`` is None where the data does not say.
    """

    id: str
    source: Source
    target: Target | None = None
    split: Split | None = None
    group: str | None = None


def noun_of(items: Sequence[Item]) -> str:
    """What one of them is called: image, clip, series, or a window of one that is to be foretold."""
    source = items[0].source if items else None
    if items and isinstance(items[0].target, Future):
        return "window"
    return "clip" if isinstance(source, Clip) else "series" if isinstance(source, Steps) else "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Items with their classes and ledger.

    ``declared`` names the splits that the data itself came with (as named on disk), empty for a flat one; after
    ``visto.data.split.assign`` every item has a split all the same. ``source`` is what it was read from, to be read
    again, ``notes`` what was inferred in reading, to be said, and ``grouped_by`` the pattern that names groups in ids.
    """

    name: str
    format: str
    task: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    ledger: tuple[Entry, ...] = ()
    declared: frozenset[Split] = frozenset()
    source: str = ""
    notes: tuple[str, ...] = ()
    grouped_by: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def keep(self, wanted: Callable[[Item], bool]) -> "Dataset":
        """The items that ``wanted`` says yes to, as a flat data set of the same classes."""
        return replace(self, items=tuple(i for i in self.items if wanted(i)), declared=frozenset())

    @property
    def train(self) -> "Dataset":
        return self.keep(lambda item: item.split == "train")

    @property
    def validation(self) -> "Dataset":
        return self.keep(lambda item: item.split == "validation")

    @property
    def test(self) -> "Dataset":
        return self.keep(lambda item: item.split == "test")

    def counts(self, items: Sequence[Item] | None = None) -> list[int]:
        """Images of each class, in the order of ``classes``."""
        targets = [item.target for item in (self.items if items is None else items) if item.target is not None]
        shared = {id(target): target for target in targets}  # often a few, shared by many images
        found = [0] * len(self.classes)
        for key, n in Counter(map(id, targets)).items():
            for index in shared[key].classes:
                found[index] += n
        return found
