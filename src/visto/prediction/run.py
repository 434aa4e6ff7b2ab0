"""Answers for images as they come: one bad image is reported and does not stop the rest."""

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visto.errors import DataError
from visto.prediction.picture import Picture
from visto.prediction.recogniser import Recogniser
from visto.threads import pool_of
from visto.types import Answer, View

_BATCH_PIXELS = 1 << 20  # of what the model sees, in one batch
_MOST = 64
_HELD_PIXELS = 1 << 25  # of decoded frames in one batch: 100 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """One image's answer; ``image`` is what the model saw, uint8 C×H×W.

    ``tracks`` (None: not followed) has for each box of the answer the number of its thing, int64.
    """

    picture: Picture
    answer: Answer[Any]
    image: Tensor
    tracks: Tensor | None = None

    @property
    def id(self) -> str:
        return self.picture.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One image that could not be read, and why."""

    picture: Picture
    error: DataError

    @property
    def id(self) -> str:
        return self.picture.id


def predict(
    recogniser: Recogniser,
    pictures: Iterable[Picture],
    *,
    threshold: float | None = None,
    confidence: float | None = None,
    threads: int = 2,
) -> Iterator[Predicted | Failed]:
    """An answer for each picture, in order; only one batch of them is held at a time.

    An answer whose best score is below ``threshold`` abstains (None: below what the task keeps, if anything); with
    ``confidence`` (0–1) so does one that cannot tell a single class at that confidence. Raises DataError where the
    model cannot say how sure it is.
    """
    with contextlib.ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        for chunk in _batches(pictures, recogniser):
            if len(chunk) > 1 and pool is None:  # one alone gains nothing from another thread
                pool = stack.enter_context(pool_of(threads))
            one_by_one = map if pool is None or len(chunk) == 1 else pool.map
            ready = list(one_by_one(lambda picture: _fitted(recogniser, picture), chunk))
            good = [entry for entry in ready if not isinstance(entry, DataError)]
            answers: Iterator[Answer[Any]] = iter(())
            if good:
                images = good[0][0] if len(good) == 1 else torch.cat([image for image, _ in good])
                answers = iter(recogniser.answers(images, [view for _, view in good]))
            for picture, entry in zip(chunk, ready, strict=True):
                if isinstance(entry, DataError):
                    yield Failed(picture=picture, error=entry)
                else:
                    answer = recogniser.task.doubt(next(answers), threshold=threshold, confidence=confidence)
                    yield Predicted(picture=picture, answer=answer, image=entry[0][0])


def _batches(pictures: Iterable[Picture], recogniser: Recogniser) -> Iterator[list[Picture]]:
    """As many as the model takes at once, fewer where they are large and decoded already."""
    _, height, width = recogniser.fit.shape
    most = max(1, min(_MOST, _BATCH_PIXELS // (height * width)))
    chunk: list[Picture] = []
    held = 0
    for picture in pictures:
        chunk.append(picture)
        held += picture.held
        if len(chunk) == most or held >= _HELD_PIXELS:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _fitted(recogniser: Recogniser, picture: Picture) -> tuple[Tensor, View] | DataError:
    try:
        decoded = picture.read(recogniser.fit.at_least)
        return recogniser.fit(decoded.batch, decoded.original), recogniser.fit.view(decoded.original)
    except DataError as error:
        return error
