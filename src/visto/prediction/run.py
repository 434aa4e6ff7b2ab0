"""Answers for images as they come: one bad image is reported and does not stop the rest."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from visto.data.decode import decode
from visto.errors import DataError
from visto.prediction.recogniser import Recogniser
from visto.threads import pool_of
from visto.types import Answer, View

Named = tuple[str, Callable[[], bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """One image's answer; ``image`` is what the model saw, uint8 C×H×W."""

    id: str
    answer: Answer[Any]
    image: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One image that could not be read, and why."""

    id: str
    error: DataError


def predict(
    recogniser: Recogniser,
    images: Iterable[Named],
    *,
    threshold: float = 0.0,
    confidence: float | None = None,
    batch_size: int = 64,
    threads: int = 2,
) -> Iterator[Predicted | Failed]:
    """An answer for each (name, function that gives its bytes), in order.

    An answer whose best score is below ``threshold`` abstains; with ``confidence`` (0–1) so does one that cannot
    tell a single class at that confidence. Raises DataError where the model cannot say how sure it is.
    """
    queue = iter(images)
    with pool_of(threads) as pool:
        while chunk := list(islice(queue, batch_size)):
            ready = list(pool.map(lambda named: _fitted(recogniser, named), chunk))
            good = [entry for entry in ready if not isinstance(entry, Failed)]
            answers: Iterator[Answer[Any]] = iter(())
            if good:
                views = [view for _, _, view in good]
                answers = iter(recogniser.answers(torch.cat([image for _, image, _ in good]), views))
            for entry in ready:
                if isinstance(entry, Failed):
                    yield entry
                else:
                    answer = recogniser.task.doubt(next(answers), threshold=threshold, confidence=confidence)
                    yield Predicted(id=entry[0], answer=answer, image=entry[1][0])


def _fitted(recogniser: Recogniser, named: Named) -> tuple[str, Tensor, View] | Failed:
    name, content = named
    try:
        decoded = decode(content(), at_least=recogniser.fit.at_least)
        return name, recogniser.fit(decoded.batch), recogniser.fit.view(decoded.original)
    except DataError as error:
        return Failed(id=name, error=error)
