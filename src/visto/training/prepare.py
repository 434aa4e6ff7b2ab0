"""From a data set as listed to decoded pixels for training and validation, and what was found on the way."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from visto.bundle import Bundle, seen_before
from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Clip, Dataset, PixelRow, Steps
from visto.data.ledger import Entry, merge
from visto.data.loader import gather
from visto.errors import DataError
from visto.preprocess import Fit, StepsFit
from visto.types import SPLITS, Boxes, Labels, Size, Split, Target, Voice

_FEW = 10  # images of a class: below, hardly anything can be said of it
_SMALL = 8  # pixels: one place of the finest stride of a detector
_OFTEN = 0.02
_STEADY = 1e-6  # a number that never changes is not to be divided by 0
_UNEQUAL = 10  # times as many images in the largest class as in the smallest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """``fingerprint`` names the content: which pixels, which labels, which split. ``order`` names it in its order."""

    train: Pixels
    validation: Pixels
    ledger: tuple[Entry, ...]
    fingerprint: str
    order: str


def prepare(
    dataset: Dataset, fit: Fit | StepsFit, *, threads: int, voice: Voice, parent: Bundle | None = None
) -> Prepared:
    """Decode every image of the data set (or find it in the cache), the test images too: bad and doubled ones show now.

    A validation image whose very content is also trained on, or was by the parent of a fine-tuned model, is rejected:
    its figure would be too good. Raises DataError where what is left cannot be learnt from.
    """
    pixels = materialise(dataset.items, fit, threads=threads, progress=voice.progress)
    doubles, drop = _doubles(pixels, dataset.classes)
    if parent is not None:
        known = seen_before(pixels.digests, parent.seen["train"]).tolist()
        old = {i.id for i, k in zip(pixels.items, known, strict=True) if k and i.split == "validation"} - drop
        reason = "the parent model was trained on it"
        doubles += [Entry(id=name, status="rejected", reason=reason) for name in sorted(old)]
        drop |= old
    split_of = [None if item.id in drop else item.split for item in pixels.items]
    parts = {
        split: take(pixels, torch.tensor([place for place, s in enumerate(split_of) if s == split], dtype=torch.int64))
        for split in SPLITS
    }
    check_learnable(dataset, parts["train"], parts["validation"], parts["test"])
    for name, n in zip(dataset.classes, dataset.counts(parts["train"].items), strict=True):
        if n == len(parts["train"].items) and not _have_places(parts["train"]):
            voice.say(f"class {name!r} is in every training image: there is nothing to tell it from")
    lines = _lines(pixels, dataset.classes)
    return Prepared(
        train=parts["train"],
        validation=parts["validation"],
        ledger=merge((*dataset.ledger, *pixels.entries, *doubles)),
        fingerprint=_hashed(sorted(lines)),
        order=_hashed(lines),
    )


def mean_and_deviation(pixels: Pixels) -> tuple[list[float], list[float]]:
    """Of each channel, in units of 0–1, over up to 20,000 evenly spread images; of each number of a series' steps."""
    rows = pixels.rows[:: max(1, len(pixels.rows) // 20_000)]
    if pixels.storage.dtype != torch.uint8:
        values = pixels.storage[rows].double()
        return values.mean(0).tolist(), values.std(0, correction=0).clamp_min(_STEADY).tolist()
    channels = pixels.storage.shape[1]
    count, total, squares = 0, torch.zeros(channels).double(), torch.zeros(channels).double()
    steps = pixels.offsets is not None  # of clips any frame counts
    for part in torch.split(rows if steps else torch.arange(len(pixels))[:: max(1, len(pixels) // 20_000)], 512):
        values = (pixels.storage[part] if steps else gather(pixels, part)).double().div_(255)
        count += values.numel() // channels
        total += values.sum((0, 2, 3))
        squares += values.square_().sum((0, 2, 3))
    mean = total / count
    deviation = (squares / count - mean**2).clamp_min(0).sqrt().clamp_min(1 / 255)
    return [float(v) for v in mean], [float(v) for v in deviation]


def cautions(classes: Sequence[str], counts: Sequence[int], *, remedy: str = ": see --balance") -> list[str]:
    """What a person should know of the classes before trusting what is learnt from so many images of each.

    ``remedy`` says what helps where they are unequal.

    >>> cautions(["cat", "dog"], [100, 4])
    ["class 'dog' has only 4 images to train on", "'cat' has 25 times as many images as 'dog': see --balance"]
    """
    few = [(n, name) for name, n in zip(classes, counts, strict=True) if n < _FEW]
    found = [f"class {name!r} has only {n} image{'' if n == 1 else 's'} to train on" for n, name in sorted(few)[:5]]
    if len(few) > 5:
        found.append(f"{len(few) - 5} more classes have fewer than {_FEW} images")
    (least, rare), (most, common) = min(zip(counts, classes, strict=True)), max(zip(counts, classes, strict=True))
    if most >= _UNEQUAL * max(1, least):
        found.append(f"{common!r} has {most // max(1, least)} times as many images as {rare!r}{remedy}")
    return found


def small_boxes(train: Pixels, fit: Fit | StepsFit) -> str:
    """A caution where many boxes are hardly to be seen in the model's input; empty where they are not."""
    total = small = 0
    for item, (height, width) in zip(train.items, train.sizes.tolist(), strict=True):
        if isinstance(item.target, Boxes) and len(item.target):
            to_original = fit.view(Size(height=height, width=width)).to_original
            sides = (item.target.xyxy[:, 2:] - item.target.xyxy[:, :2]) / to_original.diagonal()
            total, small = total + len(sides), small + int((sides < _SMALL).any(1).sum())
    if not small or small < _OFTEN * total:
        return ""
    return f"{small:,} of {total:,} boxes are less than {_SMALL} pixels wide or high in the model's input: see --size"


def check_learnable(dataset: Dataset, train: Pixels, validation: Pixels, test: Pixels) -> None:
    """Raise DataError, in the user's words, where the images that can be read do not make a task."""
    if not train.items:
        raise DataError(f"no image to train on among the {len(dataset)} of {dataset.name}", hint="see the ledger")
    present = dataset.counts(train.items)
    named = [name for name, n in zip(dataset.classes, present, strict=True) if n]
    if _have_places(train):
        if not named:
            raise DataError(
                f"no box in any of the {len(train)} training images",
                expected="boxes to learn from",
                hint="see the ledger",
            )
    elif Labels in {type(item.target) for item in train.items}:
        _check_some_differ(present, len(train.items))
    elif len(named) < 2:
        raise DataError(
            f"only one class to train on: {named[0]!r}",
            expected="at least 2 classes",
            hint="put the images of each class into a folder of its own; to find what is unlike one class, "
            "add a folder with examples of everything else",
        )
    elsewhere: dict[Split, Pixels] = {"validation": validation, "test": test}
    for split, part in elsewhere.items():
        missing = [
            name for name, a, b in zip(dataset.classes, present, dataset.counts(part.items), strict=True) if b and not a
        ]
        if missing:
            raise DataError(
                f"class {', '.join(map(repr, missing))} has images in {split} but none to train on",
                hint="add training images of it, or take it out",
            )
    empty = [name for name, n in zip(dataset.classes, present, strict=True) if not n]
    if empty:
        raise DataError(f"class {', '.join(map(repr, empty))} has no image that can be read", hint="see the ledger")
    if _have_places(train) and validation.items and not any(dataset.counts(validation.items)):
        raise DataError(
            f"no box in any of the {len(validation)} validation images",
            expected="boxes held out, to know how good the model is",
            hint="put some images with boxes there",
        )
    if not validation.items:
        raise DataError(
            f"{len(train.items)} images are too few to hold some out and know how good the model is",
            expected="at least 3 images in some class, better 20 in each",
        )


def _have_places(pixels: Pixels) -> bool:
    """Whether the targets say where things are."""
    return Boxes in {type(item.target) for item in pixels.items}


def _check_some_differ(present: Sequence[int], images: int) -> None:
    """Raise DataError where each class is in every training image, or in none: there is nothing to tell apart."""
    if not any(0 < n < images for n in present):
        raise DataError(
            f"all {images} training images have the same labels",
            expected="a class that some images have and others have not",
            hint="add images with other labels; | is the label of an image with none of the classes",
        )


def changed_since(pixels: Pixels, seen: Mapping[str, tuple[int, int]]) -> list[str]:
    """Ids of the files that are not as they were when ``stamps`` looked."""
    return [id for id, stamp in stamps(pixels).items() if stamp != seen.get(id)]


def stamps(pixels: Pixels) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file by the id of its image, (0, 0) where it is gone."""
    found: dict[str, tuple[int, int]] = {}
    for item in pixels.items:
        source = item.source
        if isinstance(source, (PixelRow, Steps)):
            continue
        try:
            stats = [os.stat(file) for file in (source.files if isinstance(source, Clip) else (source,))]
            found[item.id] = (sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats))
        except OSError:
            found[item.id] = (0, 0)
    return found


def _doubles(pixels: Pixels, classes: Sequence[str]) -> tuple[list[Entry], set[str]]:
    """Ledger entries for images of equal content, and the ids of validation images that are also trained on."""
    contents = _contents(pixels)
    often = {content for content, n in Counter(contents).items() if n > 1}
    if not often:
        return [], set()
    by_content: dict[bytes, list[int]] = defaultdict(list)
    for place, content in enumerate(contents):
        if content in often:
            by_content[content].append(place)
    rank = {"train": 0, "validation": 1, "test": 2, None: 3}
    earlier = {entry.id: entry for entry in pixels.entries}
    entries: list[Entry] = []
    drop: set[str] = set()
    for places in by_content.values():
        first, *others = sorted((pixels.items[p] for p in places), key=lambda item: (rank[item.split], item.id))
        for item in others:
            reason = f"same content as {'an image of ' + str(first.split) if first.split != item.split else 'another'}"
            if item.target != first.target and item.target is not None and first.target is not None:
                reason += ", with " + _difference(item.target, first.target, classes)
            if item.split == "validation" and first.split == "train":
                drop.add(item.id)
                entries.append(Entry(id=item.id, status="rejected", reason=reason))
            else:
                before = earlier[item.id]
                reason = "; ".join(filter(None, (before.reason, reason)))
                entries.append(Entry(id=item.id, status=before.status, reason=reason))
    return entries, drop


def _contents(pixels: Pixels) -> list[bytes]:
    """The digest of each image."""
    whole, width = pixels.digests.numpy().tobytes(), pixels.digests.shape[1]
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def _lines(pixels: Pixels, classes: Sequence[str]) -> list[str]:
    targets = {id(item.target): item.target for item in pixels.items}  # a few, shared by many images
    labels = {key: _label(target, classes) for key, target in targets.items()}
    return [
        f"{item.split}/{content.hex()}/{labels[id(item.target)]}"
        for item, content in zip(pixels.items, _contents(pixels), strict=True)
    ]


def _label(target: Target | None, classes: Sequence[str]) -> str:
    if isinstance(target, Boxes):
        columns = (target.ignored, target.crowd, target.areas)
        others = "/".join(str(None if column is None else column.tolist()) for column in columns)
        boxes = zip(target.labels.tolist(), target.xyxy.tolist(), strict=True)
        return "|".join([*(f"{classes[k]} {xyxy}" for k, xyxy in boxes), others])
    return f"{_named(target, classes) if target else ''}{'|' if isinstance(target, Labels) else ''}"


def _difference(one: Target, other: Target, classes: Sequence[str]) -> str:
    if isinstance(one, Boxes) and isinstance(other, Boxes):
        return f"other boxes ({len(one)}, not {len(other)})"
    return f"another label ({_named(one, classes)}, not {_named(other, classes)})"


def _named(target: Target, classes: Sequence[str]) -> str:
    return "|".join(classes[k] for k in target.classes) or "|"  # as a list writes none of the classes


def _hashed(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
