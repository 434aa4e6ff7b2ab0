"""Answers for sequences: one for each, or one after every step while it is seen, with a state that does not grow."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from visto.errors import DataError, UsageError
from visto.prediction.course import Course, Moment
from visto.prediction.recogniser import Recogniser
from visto.types import Answer

State = tuple[Tensor, ...]

_FEWEST = 2  # steps that something can be seen to happen in
_AT_ONCE = 1 << 24  # numbers of a sequence that are looked at together
_SHOWN = 8


@runtime_checkable
class Stepping(Protocol):
    """A recogniser that also takes one step after the other: ``fitted`` is a batch of one (see ``Moment``)."""

    @property
    def causal(self) -> bool: ...

    def begin(self) -> State:
        """The state before the first step. Raises UsageError for a model that reads the end first."""

    def step(self, fitted: Tensor, state: State) -> tuple[Mapping[str, Tensor], State]:
        """The head's tensors after one step, and the next state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """The answer after the step ``number`` (from 0), ``seconds`` after the first (None: not known)."""

    number: int
    seconds: float | None
    answer: Answer[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a whole sequence. ``steps`` are some of its fitted steps, ``notes`` say what was left out of it."""

    id: str
    answer: Answer[Any]
    steps: tuple[Tensor, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A sequence that could not be read, and why."""

    id: str
    error: DataError


def check_streams(recogniser: Recogniser) -> None:
    """Raises UsageError for a model on images, and for one that must see a sequence's end first."""
    if not recogniser.task.sequences:
        raise UsageError(
            "only sequences are streamed, and this model was trained on images",
            hint="leave --stream out: a video, or a folder, is answered image by image anyway",
        )
    _stepping(recogniser).begin()


def stream(
    recogniser: Recogniser, course: Course, *, threshold: float | None = None, confidence: float | None = None
) -> Iterator[Streamed | DataError]:
    """An answer after every step that is looked at; one step and the state are held, however long it is.

    What cannot be read is an error in its place, and left out; so is a sequence of fewer than two steps, at its end.
    Thresholds are as in ``predict``. Raises UsageError as ``check_streams``, DataError where there is nothing to read.
    """
    check_streams(recogniser)
    stepping, task, seen = _stepping(recogniser), recogniser.task, 0
    state = stepping.begin()
    bad: DataError | None = None
    for moment in course.moments(recogniser.fit):
        if isinstance(moment, DataError):
            bad = bad or moment
            yield moment
            continue
        seen += 1
        tensors, state = stepping.step(moment.fitted, state)
        (answer,) = task.answers(tensors, ())
        answer = task.doubt(answer, threshold=threshold, confidence=confidence)
        yield Streamed(number=moment.number, seconds=moment.seconds, answer=answer)
    if seen < _FEWEST:
        raise _too_short(seen, bad)


def answer_courses(
    recogniser: Recogniser,
    courses: Iterable[Course],
    *,
    threshold: float | None = None,
    confidence: float | None = None,
) -> Iterator[Answered | Unanswered]:
    """One answer for each sequence, in order. Thresholds are as in ``predict``."""
    for course in courses:
        try:
            yield _answered(recogniser, course, threshold, confidence)
        except DataError as error:
            yield Unanswered(id=course.id, error=error)


def _answered(recogniser: Recogniser, course: Course, threshold: float | None, confidence: float | None) -> Answered:
    whole, shown, bad = _Whole(recogniser), _Some(), list[DataError]()
    for moment in course.moments(recogniser.fit):
        if isinstance(moment, DataError):
            bad.append(moment)
            continue
        whole.add(moment)
        shown.add(moment.fitted[0])
    if whole.seen < _FEWEST:
        raise _too_short(whole.seen, bad[0] if bad else None)
    (answer,) = recogniser.task.answers(whole.tensors(), ())
    answer = recogniser.task.doubt(answer, threshold=threshold, confidence=confidence)
    notes = tuple(dict.fromkeys(f"left out: {error.message}" for error in bad))
    return Answered(id=course.id, answer=answer, steps=tuple(shown.kept()), notes=notes)


class _Whole:
    """A sequence looked at all at once; where it is too long for that, and the model allows it, step by step."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser, self.seen = recogniser, 0
        self._held: list[Tensor] = []
        self._after: tuple[Mapping[str, Tensor], State] | None = None
        self._steps = isinstance(recogniser, Stepping) and recogniser.causal

    def add(self, moment: Moment) -> None:
        self.seen += 1
        self._held.append(moment.fitted)
        too_long = self.seen * moment.fitted.numel() > _AT_ONCE
        if self._steps and (too_long or self._after):
            self._advance()

    def tensors(self) -> Mapping[str, Tensor]:
        if self._after:
            return self._after[0]
        return self.recogniser.tensors(torch.stack([fitted[0] for fitted in self._held])[None])

    def _advance(self) -> None:
        stepping = _stepping(self.recogniser)
        for fitted in self._held:
            state = self._after[1] if self._after else stepping.begin()
            self._after = stepping.step(fitted, state)
        self._held.clear()


class _Some:
    """A few of many, evenly chosen while they come."""

    def __init__(self) -> None:
        self._some: list[Tensor] = []
        self._every, self._met = 1, 0

    def add(self, one: Tensor) -> None:
        if self._met % self._every == 0:
            self._some.append(one)
        self._met += 1
        if len(self._some) > 4 * _SHOWN:
            self._some, self._every = self._some[::2], 2 * self._every

    def kept(self) -> list[Tensor]:
        many = len(self._some)
        few = min(_SHOWN, many)
        return [self._some[k * (many - 1) // max(1, few - 1)] for k in range(few)]


def _stepping(recogniser: Recogniser) -> Stepping:
    if not isinstance(recogniser, Stepping):
        raise UsageError("this model does not read step by step", hint="leave --stream out")
    return recogniser


def _too_short(seen: int, bad: DataError | None) -> DataError:
    if bad is not None:
        return bad
    return DataError("only one step: nothing changes" if seen else "nothing in it")
