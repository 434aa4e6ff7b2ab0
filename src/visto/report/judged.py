"""What was answered and what was true, one row an image, whether an image has one class or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visto.evaluation import Evaluation
from visto.types import Answer, Label, Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """``right`` says which of N images were answered wholly right, ``sureness`` how sure each answer was (0–1).

    Where an image has one class, that is the score of the answer; where it has several, of the least sure of its
    yes-or-no decisions. ``mistake`` is how sure the surest wrong decision was, 0 where none was. Both are None where
    the answers carry no scores.
    """

    single: bool
    answers: Sequence[Answer[Any]]
    targets: Sequence[Any]
    right: Tensor
    sureness: Tensor | None
    mistake: Tensor | None


def judged(evaluation: Evaluation) -> Judged:
    answers = evaluation.answers
    targets: list[Any] = [item.target for item in evaluation.pixels.items]
    single = all(isinstance(answer.value, Label) for answer in answers)
    right = torch.tensor(
        [a.value.classes == t.classes for a, t in zip(answers, targets, strict=True)], dtype=torch.bool
    )
    if any(answer.value.scores is None for answer in answers):
        return Judged(single=single, answers=answers, targets=targets, right=right, sureness=None, mistake=None)
    if single:
        sureness = torch.tensor([float(a.value.scores[a.value.index]) for a in answers])
        mistake = sureness.where(~right, 0.0)
    else:
        pairs = [_doubts(a.value, t) for a, t in zip(answers, targets, strict=True)]
        sureness, mistake = (torch.tensor([pair[k] for pair in pairs]) for k in (0, 1))
    return Judged(single=single, answers=answers, targets=targets, right=right, sureness=sureness, mistake=mistake)


def _doubts(answer: Labels, target: Labels) -> tuple[float, float]:
    """The least sure decision of one image, and the surest wrong one (0: none)."""
    assert answer.scores is not None  # noqa: S101  (asked by the caller)
    sure = 1 - answer.scores.float()
    for k in answer.classes:
        sure[k] = 1 - sure[k]
    wrong = sorted(set(answer.classes) ^ set(target.classes))
    return float(sure.min()), max((float(sure[k]) for k in wrong), default=0.0)


def class_counts(evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """How many judged images have each class, and for how many it was the answer (or one of them)."""
    have, answered = [0] * len(evaluation.classes), [0] * len(evaluation.classes)
    for item in evaluation.pixels.items:
        for k in item.target.classes if item.target is not None else ():
            have[k] += 1
    for answer in evaluation.answers:
        for k in answer.value.classes:
            answered[k] += 1
    return have, answered
