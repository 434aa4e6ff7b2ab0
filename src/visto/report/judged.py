"""What was answered and what was true, one row an image, whether it has one class, several, or boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visto.evaluation import Evaluation
from visto.quantities import plural
from visto.report.found_boxes import FoundBoxes, found_boxes
from visto.types import Answer, Boxes, Label, Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is judged, and what its answers are called where scores are spoken of."""

    one: str
    many: str
    claims: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """``right`` says which of N images were answered wholly right, ``sureness`` how sure each answer was (0–1).

    Where an image has one class, that is the score of the answer; where it has several, of the least sure of its
    yes-or-no decisions. ``mistake`` is how sure the surest wrong decision was, 0 where none was. Both are None where
    the answers carry no scores, and where they are ``boxes``: those are judged one by one. ``noun`` says what is
    judged: image, clip or series.
    """

    single: bool
    noun: str
    answers: Sequence[Answer[Any]]
    targets: Sequence[Any]
    right: Tensor
    sureness: Tensor | None = None
    mistake: Tensor | None = None
    boxes: FoundBoxes | None = None

    @property
    def unit(self) -> Unit:
        if self.boxes is not None:
            return Unit(one="box", many="boxes", claims="boxes")
        return Unit(one=self.noun, many=self.nouns, claims="answers" if self.single else "scores")

    @property
    def nouns(self) -> str:
        return plural(self.noun)

    @property
    def entries(self) -> tuple[str, str]:
        """What the ledger has entries of, one and many."""
        if self.boxes is not None:
            return "file or box", "files and boxes"
        # of a clip a single frame may be left out
        known = {"image": ("file", "files"), "clip": ("clip or file", "clips and files")}
        return known.get(self.noun, (self.noun, self.nouns))


def judged(evaluation: Evaluation) -> Judged:
    answers, noun = evaluation.answers, evaluation.noun
    targets: list[Any] = [item.target for item in evaluation.pixels.items]
    if any(isinstance(target, Boxes) for target in targets):
        boxes = found_boxes(evaluation)
        faultless = torch.tensor([not len(image.false) and not len(image.missed) for image in boxes.images])
        return Judged(single=False, noun=noun, answers=answers, targets=targets, right=faultless, boxes=boxes)
    single = all(isinstance(answer.value, Label) for answer in answers)
    right = torch.tensor(
        [a.value.classes == t.classes for a, t in zip(answers, targets, strict=True)], dtype=torch.bool
    )
    if any(answer.value.scores is None for answer in answers):
        return Judged(single=single, noun=noun, answers=answers, targets=targets, right=right)
    if single:
        sureness = torch.tensor([float(a.value.scores[a.value.index]) for a in answers])
        mistake = sureness.where(~right, 0.0)
    else:
        pairs = [_doubts(a.value, t) for a, t in zip(answers, targets, strict=True)]
        sureness, mistake = (torch.tensor([pair[k] for pair in pairs]) for k in (0, 1))
    return Judged(
        single=single, noun=noun, answers=answers, targets=targets, right=right, sureness=sureness, mistake=mistake
    )


def _doubts(answer: Labels, target: Labels) -> tuple[float, float]:
    """The least sure decision of one image, and the surest wrong one (0: none)."""
    assert answer.scores is not None  # noqa: S101  (asked by the caller)
    sure = 1 - answer.scores.float()
    for k in answer.classes:
        sure[k] = 1 - sure[k]
    wrong = sorted(set(answer.classes) ^ set(target.classes))
    return float(sure.min()), max((float(sure[k]) for k in wrong), default=0.0)


def class_counts(evaluation: Evaluation, boxes: FoundBoxes | None = None) -> tuple[list[int], list[int]]:
    """How many judged images (or boxes) have each class, and for how many it was the answer (or one of them)."""
    if boxes is not None:
        return boxes.have, boxes.per_class(boxes.drawn)
    answered = [0] * len(evaluation.classes)
    for answer in evaluation.answers:
        for k in answer.value.classes:
            answered[k] += 1
    return images_with(evaluation), answered


def images_with(evaluation: Evaluation) -> list[int]:
    """How many judged images have each class."""
    have = [0] * len(evaluation.classes)
    for item in evaluation.pixels.items:
        for k in item.target.classes if item.target is not None else ():
            have[k] += 1
    return have
