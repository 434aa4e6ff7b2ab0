"""Single images to look at: the surest wrong answers, where labels are wrong too, and the least sure right ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.data.loader import gather
from visto.evaluation import Evaluation
from visto.report.judged import Judged
from visto.report.pictures import Picture, picture
from visto.report.words import decimal, shown

MOST_MISTAKES = 20
MOST_UNSURE = 5
MOST_LISTED = 100
_NAME, _ID = 40, 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One image: its row and id, what is true, what was answered and how surely, and its picture where wanted."""

    row: int
    id: str
    truth: str
    answer: str
    score: str
    picture: Picture | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """``total`` wrong images: the surest ``first``, more of them ``listed`` by name, and ``more`` beyond these."""

    total: int
    first: Sequence[Shown]
    listed: Sequence[Shown]
    more: int
    unsure: Sequence[Shown]


def mistakes(evaluation: Evaluation, judged: Judged, *, samples: bool) -> Mistakes:
    """Without ``samples`` no picture is taken over, only names."""
    wrong, right = (~judged.right).nonzero().flatten(), judged.right.nonzero().flatten()
    unsure: list[int] = []
    if judged.mistake is not None and judged.sureness is not None:
        wrong = wrong[judged.mistake[wrong].argsort(descending=True, stable=True)]
        unsure = right[judged.sureness[right].argsort(stable=True)][:MOST_UNSURE].tolist()
    places = wrong.tolist()

    def look(row: int, with_picture: bool) -> Shown:
        return shown_as(evaluation, judged, row, _seen(evaluation, row) if with_picture else None)

    first = [look(row, samples) for row in places[:MOST_MISTAKES]]
    listed = [look(row, False) for row in places[MOST_MISTAKES : MOST_MISTAKES + MOST_LISTED]]
    return Mistakes(
        total=len(places),
        first=first,
        listed=listed,
        more=len(places) - len(first) - len(listed),
        unsure=[look(row, samples) for row in unsure],
    )


def _seen(evaluation: Evaluation, row: int) -> Tensor | None:
    """What one looks like: an image, the middle frame of a clip; None of a series."""
    seen = gather(evaluation.pixels, torch.tensor([row]))[0]
    if seen.ndim == 4:
        return seen[len(seen) // 2]
    return seen if seen.ndim == 3 else None


def shown_as(evaluation: Evaluation, judged: Judged, row: int, image: Tensor | None) -> Shown:
    """The one in a row, with its ``image`` where it is to be seen."""
    item, answer = evaluation.pixels.items[row], judged.answers[row].value
    sure = judged.sureness if judged.single else judged.mistake
    if not judged.single and bool(judged.right[row]):
        sure = judged.sureness
    id = shown(item.id, _ID)
    truth, said = (_names(evaluation.classes, value.classes) for value in (judged.targets[row], answer))
    number = decimal(float(sure[row])) if sure is not None else ""
    return Shown(
        row=row,
        id=id,
        truth=truth,
        answer=said,
        score=number,
        picture=picture(image) if image is not None else None,
        words=f"{id}: {truth}, answered {said}",
    )


def _names(classes: Sequence[str], indices: Sequence[int]) -> str:
    names = [shown(classes[k], _NAME) for k in indices[:5]]
    return ", ".join(names) + (f" and {len(indices) - 5} more" if len(indices) > 5 else "") if names else "none"
