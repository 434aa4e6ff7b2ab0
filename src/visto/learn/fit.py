"""``fit`` is a generator: the caller shows, saves or breaks. No callbacks, no hooks, no Trainer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from visto.learn.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did: its number (from 1), of how many, its loss, and the epoch's figures where one has ended."""

    step: int
    total: int
    loss: float
    figures: Mapping[str, float] | None = None


class Learner(Protocol):
    """Something that learns in steps; between two steps the state is whole, so that it can be saved."""

    def start(self) -> State: ...

    def step(self, state: State) -> Step: ...


def fit(learner: Learner, state: State) -> Iterator[Step]:
    """Yield after each step, where the state is whole, until the state says that it has ended."""
    while not state.ended:
        yield learner.step(state)
