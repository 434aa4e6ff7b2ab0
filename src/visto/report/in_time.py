"""Which moments of a sequence an answer rests on: each in turn is passed over, as if nothing had happened then.

What is passed over repeats the step before it (occlusion as in Zeiler and Fergus 2014, but in time): a black frame
would be an event of its own. Whether such a map is true is asked in another way than it was made, by repeating the step
that comes after: the most important tenth should matter more than a tenth taken by chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor

from visto.metrics.intervals import weightings
from visto.types import Figure

MOST_SPANS = 20
DRAWS = 5
ENOUGH = 5  # sequences that an interval can be given of

Span = tuple[int, int]
Judge = Callable[[Tensor], Tensor]
"""V×T places of the steps of one sequence, in the order in which they are to be seen, to scores V×K."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """By how much the score of an answer falls without the most important tenth of the steps, and without any tenth."""

    important: float
    random: float


def spans_of(steps: int, most: int = MOST_SPANS) -> list[Span]:
    """At most so many neighbouring spans (start, stop), which differ by a step at most.

    >>> spans_of(3), spans_of(7, 3)
    ([(0, 1), (1, 2), (2, 3)], [(0, 2), (2, 4), (4, 7)])
    """
    count = min(steps, most)
    borders = [k * steps // count for k in range(count + 1)]
    return list(pairwise(borders))


def passed_over(steps: int, spans: Sequence[Span], *, later: bool = False) -> Tensor:
    """The places of T steps, with those in ``spans`` repeating the last one before them; ``later``: the first after.

    Where there is none on that side, the one on the other is repeated. Something must be left.

    >>> passed_over(5, [(1, 3)]).tolist(), passed_over(5, [(1, 3)], later=True).tolist()
    ([0, 0, 0, 3, 4], [0, 3, 3, 3, 4])
    >>> passed_over(4, [(0, 1), (1, 2)]).tolist()
    [2, 2, 2, 3]
    """
    places = torch.arange(steps)
    left = torch.ones(steps, dtype=torch.bool)
    for start, stop in spans:
        left[start:stop] = False
    first, last = int(places[left][0]), int(places[left][-1])
    if later:
        return places.where(left, steps).flip(0).cummin(0).values.flip(0).clamp_max(last)
    return places.where(left, -1).cummax(0).values.clamp_min(first)


def falls(judge: Judge, steps: int, spans: Sequence[Span], k: int) -> Tensor:
    """By how much the score of class ``k`` falls when each of S spans alone is passed over: S; below 0 it rises."""
    orders = torch.stack([torch.arange(steps), *(passed_over(steps, [span]) for span in spans)])
    scores = judge(orders)[:, k]
    return scores[0] - scores[1:]


def check(judge: Judge, steps: int, spans: Sequence[Span], falls_s: Tensor, k: int, random: Generator) -> Check:
    """What becomes of the score without the tenth of the spans that matters most, and without five random tenths."""
    tenth = max(1, round(len(spans) / 10))
    chosen = [falls_s.argsort(descending=True, stable=True)[:tenth]]
    chosen += [torch.randperm(len(spans), generator=random)[:tenth] for _ in range(DRAWS)]
    orders = [passed_over(steps, [spans[place] for place in some.tolist()], later=True) for some in chosen]
    scores = judge(torch.stack([torch.arange(steps), *orders]))[:, k]
    lost = scores[0] - scores[1:]
    return Check(important=float(lost[0]), random=float(lost[1:].mean()))


def advantage(checks: Sequence[Check]) -> Figure:
    """By how much more the score falls without what is important than without as much by chance, on average.

    The interval is a bootstrap over the sequences; none where there are fewer than five.
    """
    more = torch.tensor([one.important - one.random for one in checks]).double()
    if len(checks) < ENOUGH:
        return Figure(value=float(more.mean()))
    drawn = torch.cat(list(weightings(len(checks))), 1)
    low, high = (more @ drawn / drawn.sum(0)).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    return Figure(value=float(more.mean()), low=low, high=high)
