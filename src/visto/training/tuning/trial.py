"""One trial: a recipe learnt for a short while, looked at after each epoch, stopped where there is no hope for it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from visto.errors import UsageError
from visto.learn import FeatureFeed, Feed, GradientLearner, PixelFeed, Recipe, State, fit
from visto.tasks import TASKS
from visto.training.carry_out import Work
from visto.training.inherit import pretrained_weights, published_classifier
from visto.training.learning import stoppable
from visto.training.tuning.choices import Value
from visto.types import Silent, Voice

_WARM_UP = 3  # steps

Outcome = Literal["complete", "pruned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a trial: its ``figure`` and ``loss`` on the images held out, of the last look where it was stopped.

    ``why`` says why it was stopped. ``curve`` has (epochs, figure) of each look. It would have had ``epochs``. Of its
    ``seconds`` went ``start`` by before the first step; an ``epoch`` took so many once it ran.
    """

    outcome: Outcome
    why: str = ""
    figure: float | None = None
    loss: float | None = None
    curve: Sequence[tuple[float, float]] = ()
    seconds: float = 0.0
    start: float = 0.0
    epoch: float = 0.0
    epochs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A trial that has ended: its number among those, the values that it tried, what came of it."""

    number: int
    values: Mapping[str, Value]
    result: Result


def learner_for(recipe: Recipe, work: Work, features: Path, voice: Voice) -> GradientLearner:
    """What learns ``recipe`` on the images of ``work``; what frozen stages give is kept at ``features``."""
    task = TASKS[recipe.task](classes=work.dataset.classes, label_smoothing=recipe.label_smoothing)
    train, held = work.prepared.train, work.prepared.validation
    initial = pretrained_weights(recipe, voice, download=False) if recipe.pretrained else None
    if recipe.learner == "transfer":
        published = published_classifier(recipe.model.name, voice) if recipe.pretrained else None
        feed: Feed = FeatureFeed(recipe, task, train, held, initial, features, published)
    else:
        feed = PixelFeed(recipe, task, train, held, initial)
    return GradientLearner(recipe, task, feed)


def attempt(
    learner: GradientLearner,
    *,
    seconds: float,
    hopeless: Callable[[int, float], bool],
) -> Result:
    """Learn and look. ``hopeless`` is asked after each look (per cent of the steps done, figure): then it is stopped.

    So it is after ``seconds``, and where the loss becomes infinite. Raises Interrupted.
    """
    began = time.perf_counter()
    state = learner.start(voice=Silent())
    start = time.perf_counter() - began
    curve: list[tuple[float, float]] = []
    plain, looking, why, at = [0.0], [0.0], "", time.perf_counter()
    try:
        with stoppable() as stopped:
            for step in fit(learner, state):
                now = time.perf_counter()
                (plain if step.figures is None else looking).append(now - at)
                at = now
                if step.figures is not None:
                    figure = step.figures[f"validation_{learner.task.monitor[0]}"]
                    curve.append((round(step.step / learner.feed.order.steps_per_epoch, 3), round(figure, 6)))
                    if step.step < step.total and hopeless(100 * step.step // step.total, figure):
                        why = "worse than half of the others had been"
                if stopped:
                    raise stopped[0]("stopped in a trial", hint="go on with the same command and --resume")
                if time.perf_counter() - began > seconds and step.step < step.total and not why:
                    why = "no more time for it"
                if why:
                    break
    except UsageError as error:
        why = error.message
    result = _result(learner, state, why, curve)
    steps = learner.feed.order.steps_per_epoch
    return replace(
        result,
        seconds=round(time.perf_counter() - began, 3),
        start=round(start, 3),
        epoch=round((steps - 1) * _usual(plain) + _usual(looking), 4),
        epochs=round(state.total_steps / steps, 4),
    )


def _usual(seconds: Sequence[float]) -> float:
    """The mean, without what came while the machine warmed up, where more is known."""
    return mean(seconds[_WARM_UP:] or seconds[1:] or seconds)


def _result(learner: GradientLearner, state: State, why: str, curve: list[tuple[float, float]]) -> Result:
    last: dict[str, Any] = state.history[state.best_epoch if state.best else -1] if state.history else {}
    if not last and not why:  # it had ended before the first step
        last = learner.look(state)
    name = learner.task.monitor[0]
    return Result(
        outcome="pruned" if why else "complete",
        why=why,
        figure=_rounded(last.get(f"validation_{name}")),
        loss=_rounded(last.get("validation_loss")),
        curve=tuple(curve),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
