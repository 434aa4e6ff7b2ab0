"""Run a recogniser over data that it has not seen, and judge it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from visto.bundle import seen_before
from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Dataset, noun_of
from visto.data.ledger import Entry, counts
from visto.data.loader import gather, input_pixels, runs
from visto.data.windows import numbered
from visto.errors import DataError
from visto.evaluation.choice import choose, relabel
from visto.evaluation.groups import Group, judge_groups
from visto.evaluation.judge import judge
from visto.evaluation.series import as_wanted, fresh
from visto.learn.feed import views_of
from visto.memory import keep_freed_memory
from visto.prediction import Recogniser
from visto.quantities import plural
from visto.types import Answer, Figure, Split, Task, Voice

_BATCH_PIXELS = 256 * 64 * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """``n`` images judged, ``seen`` of them also made the model (0 unless a split was asked for by name).

    ``left_out`` counts images not judged because the model had seen them. ``details`` is what the task adds to its
    figures (for classification the confusion matrix), as JSON values. ``answers`` has one for each of the ``n`` images
    in ``pixels``, whose items carry the targets. ``groups`` has the figures of each group of images, the worst first;
    empty where the data has no groups.
    """

    task: str
    split: str
    n: int
    seen: int
    left_out: int
    classes: tuple[str, ...]
    figures: Mapping[str, Figure]
    details: Mapping[str, Any]
    ledger: tuple[Entry, ...]
    answers: Sequence[Answer[Any]]
    pixels: Pixels
    groups: tuple[Group, ...] = ()

    @property
    def noun(self) -> str:
        """What was judged: image, clip or series."""
        return noun_of(self.pixels.items)

    def to_json(self) -> dict[str, object]:
        return {
            "task": self.task,
            "split": self.split,
            "n": self.n,
            "metrics": {name: figure.to_json() for name, figure in self.figures.items()},
            "classes": list(self.classes),
            **self.details,
            "groups": [group.to_json() for group in self.groups],
            "overlap": {"judged": self.seen, "left_out": self.left_out},
            "ledger": counts(self.ledger),
        }


def evaluate(
    recogniser: Recogniser, dataset: Dataset, *, task: str, split: Split | None, threads: int, voice: Voice
) -> Evaluation:
    """Judge on the test split, else the validation split, else (flat data) on everything; never on an image seen.

    ``split`` names another one; images that the model has seen are then judged too, and counted. Raises DataError
    where no image is left, or where the data has a class that the model does not know.
    """
    keep_freed_memory()
    dataset = as_wanted(dataset, recogniser, task)
    named, items = choose(dataset, split)
    items = relabel(items, recogniser.task, dataset.classes, recogniser.classes)
    pixels = materialise(items, recogniser.fit, threads=threads, progress=voice.progress)
    if dataset.task == "forecast":
        pixels = numbered(pixels)
    known = seen_before(pixels.digests, torch.cat(list(recogniser.seen.values())))
    judged = torch.arange(len(pixels)) if split else fresh(pixels.items, known, dataset).nonzero().flatten()
    left_out = len(pixels) - len(judged)
    if not len(judged):
        noun = noun_of(items)
        raise DataError(
            f"no {noun} is left to judge: {len(items)} in {named}, {left_out} of them were used to make the model, "
            f"{len(items) - len(pixels.items)} cannot be read",
            expected=f"{plural(noun)} that the model has not seen",
            hint=f"give other data, or judge on seen {plural(noun)} knowingly with --split",
        )
    shown = take(pixels, judged)
    return judged_as(
        recogniser.task,
        answer_all(recogniser, pixels, judged, voice),
        replace(shown, entries=dataset.ledger) if dataset.task == "forecast" else shown,
        name=task,
        split=named,
        classes=recogniser.classes,
        seen=int(known.sum()) if split else 0,
        left_out=left_out,
    )


def answer_all(recogniser: Recogniser, pixels: Pixels, rows: Tensor, voice: Voice) -> list[Answer[Any]]:
    """The recogniser's answers to the images at the places ``rows`` of pixels fitted for it."""
    answers: list[Answer[Any]] = []
    batches = list(runs(pixels, rows, max(1, min(256, _BATCH_PIXELS // input_pixels(pixels)))))
    views = views_of(recogniser.task, pixels, recogniser.fit)
    for batch in voice.progress(batches, total=len(batches), words="judging"):
        answers += recogniser.answers(gather(pixels, batch), [views[row] for row in batch.tolist()] if views else ())
    return answers


def judged_as(
    task: Task[Any, Any],
    answers: Sequence[Answer[Any]],
    pixels: Pixels,
    *,
    name: str,
    split: str,
    classes: tuple[str, ...],
    seen: int = 0,
    left_out: int = 0,
) -> Evaluation:
    """The evaluation of answers to the images of ``pixels``, whose items all carry a target."""
    targets = [item.target for item in pixels.items]
    groups = [item.group for item in pixels.items]
    return Evaluation(
        task=name,
        split=split,
        n=len(answers),
        seen=seen,
        left_out=left_out,
        classes=classes,
        figures=judge(task, answers, targets, groups),
        details=task.details(answers, targets),
        ledger=pixels.entries,
        answers=answers,
        pixels=pixels,
        groups=judge_groups(task, answers, targets, groups),
    )
