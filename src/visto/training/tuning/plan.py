"""How a budget is shared out between trials and the last two trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

TRIALS = 24  # of full length that a budget is laid out for; those that are stopped early make room for more
MOST_TRIALS = 100  # more would rather learn the held-out images by heart
_WITHOUT_BUDGET = 1 / 3  # of a recipe's epochs that a trial gets where nobody counts the time
FOR_THE_LAST = 0.5  # of the time, at most
_SHORTEST = 60  # steps of a trial
DEARER = 1.2  # the winner may take longer than the default
_CAREFUL = 0.95  # of the time that is left: other work may slow the machine down


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds that a recipe takes on all training images: before the first step, and for all of its epochs."""

    start: float
    epochs: float

    def of(self, share: float) -> float:
        """With a share of its epochs."""
        return self.start + share * self.epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The shares of a recipe's epochs that a trial and a last training get. ``trial`` 0: there is no time to try."""

    trial: float
    final: float


def planned(left: float | None, cost: Cost, *, steps: float, learnt: float) -> Plan:
    """How to share out ``left`` seconds (None: as many as it takes), of which judging and writing need none any more.

    ``cost`` is that of the default recipe, of which a trial learns from the part ``learnt`` of the images, in so many
    ``steps`` if it has all epochs. Half of the time at most goes to the last two trainings, at full length if it can.

    >>> planned(None, Cost(start=1, epochs=90), steps=1200, learnt=0.8)
    Plan(trial=0.3333333333333333, final=1.0)
    >>> planned(5000, Cost(start=0, epochs=100), steps=1000, learnt=0.8)
    Plan(trial=1.0, final=1.0)
    >>> planned(60, Cost(start=0, epochs=100), steps=60, learnt=0.8)
    Plan(trial=0.0, final=0.57)
    """
    shortest = min(1.0, _SHORTEST / steps)
    if left is None:
        return Plan(trial=max(shortest, _WITHOUT_BUDGET), final=1.0)
    final = shared(FOR_THE_LAST * left, [cost, Cost(start=cost.start, epochs=DEARER * cost.epochs)])
    for_trials = left - 2 * cost.start - final * (1 + DEARER) * cost.epochs
    # features of frozen stages are often found as an earlier trial left them
    each = for_trials / TRIALS - cost.start / 2
    trial = max(shortest, min(final, each / max(1e-9, learnt * cost.epochs)))
    if for_trials < 2 * learnt * cost.of(trial):
        return Plan(trial=0.0, final=shared(left, [cost]))
    return Plan(trial=trial, final=final)


def shared(left: float, costs: Sequence[Cost]) -> float:
    """The share of their epochs that all of these trainings can have in ``left`` seconds: 0 to 1, the same for all.

    >>> shared(100, [Cost(start=5, epochs=100), Cost(start=5, epochs=200)])
    0.2833333333333333
    """
    time = _CAREFUL * left - sum(cost.start for cost in costs)
    whole = sum(cost.epochs for cost in costs)
    return min(1.0, max(0.0, time / whole)) if whole else float(time > 0)
