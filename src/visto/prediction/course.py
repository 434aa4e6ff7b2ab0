"""What is to be answered step after step: a clip, or a series of numbers, with the way to its steps."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visto.data.clip_frames import shots
from visto.data.clip_listing import list_clips
from visto.data.dataset import Clip, Steps
from visto.data.decode import Decoded
from visto.data.ledger import Entry
from visto.data.series_listing import list_series
from visto.errors import DataError
from visto.preprocess import Fit
from visto.types import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step that is looked at: its ``number`` from 0 and ``seconds`` since the first (None: not known).

    ``fitted`` is a batch of one as a recogniser takes it: a frame uint8 1×C×H×W, or numbers float32 1×F.
    """

    number: int
    seconds: float | None
    fitted: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """``moments`` come one by one, fitted, those in between passed over; what cannot be read is an error in its place.

    Raises DataError where there is none to come.
    """

    id: str
    moments: Callable[[Fit], Iterator[Moment | DataError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Courses:
    """All that a path holds; ``ledger`` is what was passed over, left out or mended."""

    found: tuple[Course, ...]
    ledger: tuple[Entry, ...] = ()


def courses_at(path: Path, name: str, fit: Fit) -> Courses:
    """The clips, or the series, at a path, called ``name``. Raises DataError, UsageError where PyAV is needed."""
    if not fit.every:
        return _series_at(path, name)
    listed = list_clips(path, name)
    found = [
        Course(id=id, moments=partial(_of_clip, clip) if isinstance(clip, Clip) else partial(_broken, clip))
        for id, clip in listed.found.items()
    ]
    return Courses(found=tuple(found), ledger=listed.ledger)


def _series_at(path: Path, name: str) -> Courses:
    listed = list_series(path, name)
    found = [
        Course(id=item.id, moments=partial(_given, item.source.values))
        for item in listed.items
        if isinstance(item.source, Steps)
    ]
    bad = [entry for entry in listed.ledger if entry.status == "rejected"]
    found += [Course(id=entry.id, moments=partial(_broken, DataError(entry.reason))) for entry in bad]
    return Courses(found=tuple(found), ledger=tuple(entry for entry in listed.ledger if entry not in bad))


def course_of(frames: Iterable[Any], name: str = "frames") -> Course:
    """Steps that come as arrays: frames uint8 H×W (grey) or H×W×3 (RGB), or of a series F numbers each."""
    return Course(id=name, moments=partial(_given, frames))


def _of_clip(clip: Clip, fit: Fit) -> Iterator[Moment | DataError]:
    for shot in shots(clip, fit.every, at_least=fit.at_least):
        if isinstance(shot.frame, DataError):
            yield shot.frame
            continue
        try:
            fitted = fit(shot.frame.batch, shot.frame.original)
        except DataError as error:
            yield error
            continue
        yield Moment(number=shot.number, seconds=shot.seconds, fitted=fitted)


def _broken(error: DataError, fit: Fit) -> Iterator[Moment | DataError]:
    raise error


def _given(frames: Iterable[Any], fit: Fit) -> Iterator[Moment | DataError]:
    of_numbers = not fit.every
    for number, frame in enumerate(frames):
        if of_numbers:
            yield Moment(number=number, seconds=None, fitted=_numbers(frame, fit))
        elif number % fit.every == 0:
            decoded = _picture(frame)
            yield Moment(number=number, seconds=None, fitted=fit(decoded.batch, decoded.original))


def _picture(frame: Any) -> Decoded:
    pixels = np.asarray(frame)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        words = "×".join(map(str, pixels.shape)) or "no side"
        raise DataError(f"a frame of {words}, {pixels.dtype}", expected="uint8 H×W (grey) or H×W×3 (RGB)")
    pixels = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None])
    size = Size(height=pixels.shape[0], width=pixels.shape[1])
    return Decoded(pixels=torch.from_numpy(pixels).permute(2, 0, 1), original=size, notes=())


def _numbers(step: Any, fit: Fit) -> Tensor:
    values = np.asarray(step, dtype=np.float32).reshape(-1)
    if values.shape != tuple(fit.shape) or not np.isfinite(values).all():
        raise DataError(f"a step of {len(values)} numbers", expected=f"{fit.shape[0]} finite numbers")
    return torch.from_numpy(values.copy())[None]
