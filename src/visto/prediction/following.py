"""Boxes that are followed through a sequence of pictures, so that each thing keeps its number."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from visto.errors import UsageError
from visto.ops.picture import boxed
from visto.prediction.picture import Picture
from visto.prediction.recogniser import Recogniser
from visto.prediction.run import Failed, Predicted, predict
from visto.prediction.tracking import Tracker
from visto.types import Boxes

_LOW = 0.1  # boxes that score so much may still be what was seen before
_LEAST = 1e-3  # no box scores less than that


def check_followable(recogniser: Recogniser) -> None:
    """Raise UsageError for a model that finds no boxes."""
    if recogniser.task.needs != "boxes":
        raise UsageError(
            "only boxes can be followed, and this model says what is in an image, not where",
            hint="leave --track out, or take a model that was trained on boxes",
        )


def follow(
    recogniser: Recogniser,
    pictures: Iterable[Picture],
    *,
    threshold: float | None = None,
    fps: float = 30.0,
    threads: int = 2,
) -> Iterator[Predicted | Failed]:
    """As ``predict``, the answers only of things that are surely there, with their ``tracks``.

    ``threshold`` (None: the model's own) is the score from which a box is taken for a thing; one that was seen before
    is followed by boxes of a score down to 0.1. A thing counts when it is seen twice, one in the first picture at
    once. Each sequence is followed by itself, and counts from 1; in a picture that cannot be read nothing is seen.
    Raises UsageError for a model that finds no boxes.
    """
    check_followable(recogniser)
    high = float(recogniser.task.arguments()["threshold"]) if threshold is None else threshold
    high = max(high, _LEAST)
    trackers: dict[str, Tracker] = {}
    for found in predict(recogniser, pictures, threshold=min(_LOW, high), threads=threads):
        sequence = found.picture.sequence
        tracker = trackers.setdefault(sequence, Tracker(fps, high=high, low=_LOW))
        if isinstance(found, Failed):
            tracker.step(_nothing())
            yield found
            continue
        boxes, ids = tracker.step(found.answer.value)
        yield replace(found, answer=replace(found.answer, value=boxes), tracks=ids)


def drawn(recogniser: Recogniser, found: Predicted) -> bytes:
    """The answer as PNG: boxes on the original picture, those of one track in one colour; else what the model saw."""
    if recogniser.task.needs != "boxes":
        return recogniser.task.draw(found.image, found.answer)
    pixels = found.picture.read(None).pixels
    if found.tracks is None:
        return recogniser.task.draw(pixels, found.answer)
    boxes: Boxes = found.answer.value
    tracks = found.tracks.tolist()
    words = [f"{recogniser.classes[k]} #{track}" for k, track in zip(boxes.labels.tolist(), tracks, strict=True)]
    return boxed(pixels, boxes, words, [track - 1 for track in tracks])


def _nothing() -> Boxes:
    return Boxes(xyxy=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0))
