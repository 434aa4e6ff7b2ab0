"""The trials: how long each may be, one after the other until the budget or their number is used up."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from visto.data.loader import Order
from visto.errors import UsageError
from visto.learn import Recipe
from visto.training.buildable import check_buildable
from visto.training.carry_out import Work
from visto.training.folder import RunFolder
from visto.training.tuning.choices import with_values
from visto.training.tuning.held_out import LEARNT
from visto.training.tuning.plan import DEARER, FOR_THE_LAST, MOST_TRIALS, TRIALS, Cost, Plan, planned
from visto.training.tuning.trial import Result, Tried, attempt, learner_for
from visto.training.tuning.words import differing
from visto.types import Silent, Voice

if TYPE_CHECKING:
    from visto.training.tuning.study import Study

_REHEARSAL = 50.0  # seconds that a rehearsal is told to plan for; it takes a fiftieth of them, and a few steps
_TOO_LONG, _SECONDS = 3.0, 2.0  # times what the default took, and at least
_WORTH_BEGINNING = 0.7  # of a trial's usual time that must be left
_WHOLE = float(1 / LEARNT)  # images in all, for each that a trial learns from


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ends the search: seconds in all (0: no limit), trials (0: 100 at most, without a budget 24).

    ``spent`` gives the seconds used so far, those of earlier processes too. ``ending`` is kept back for judging the
    last trainings and writing.
    """

    budget: float
    trials: int
    spent: Callable[[], float]
    ending: float

    def left(self) -> float | None:
        """Seconds for trials and the last trainings; None: as many as it takes."""
        return self.budget - self.ending - self.spent() if self.budget else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What trials stand on: the default recipe, and in ``parts`` the images to learn from and those held out.

    ``monitor`` is the figure that they are judged by, and whether its best end is max or min.
    """

    folder: RunFolder
    study: "Study"
    recipe: Recipe
    parts: Work
    monitor: tuple[str, str]
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The plan that was made, what the default costs, and the trials that have ended, the default's first.

    ``last`` are the seconds that the last trainings may take at most.
    """

    plan: Plan
    cost: Cost
    last: float
    tried: Sequence[Tried]


def search(ground: Ground, voice: Voice) -> Found:
    """Try until there is no time for another trial. Raises Interrupted; the trials that have ended are kept."""
    study, recipe = ground.study, ground.recipe
    ground.folder.tuning.mkdir(exist_ok=True)
    noted = study.noted("plan") or _planned(ground)
    plan, tried = Plan(trial=noted["trial"], final=noted["final"]), study.ended()
    cost = Cost(start=noted["start"], epochs=noted["epochs"])
    found = Found(plan=plan, cost=cost, last=noted["last"], tried=tried)
    _say_plan(plan, recipe, len(tried), voice)
    most = ground.limits.trials or (MOST_TRIALS if ground.limits.budget else TRIALS)
    while plan.trial and len(tried) < most and study.noted("last") is None:
        seconds = _seconds_for(found, ground)
        if seconds <= 0:
            break
        asked = study.ask()
        chosen = with_values(recipe, asked.values)
        short = replace(chosen, epochs=chosen.epochs * plan.trial)
        result = _result(ground, short, seconds, asked.hopeless)
        tried.append(asked.tell(result))
        voice.say(_line(tried, ground))
    return found


def _planned(ground: Ground) -> Mapping[str, float]:
    """Measure what the default takes, share the budget out, and keep that."""
    limits = ground.limits
    cost = _rehearsed(ground) if limits.budget else Cost(start=0.0, epochs=0.0)
    recipe, left = ground.recipe, limits.left()
    order = Order(len(ground.parts.prepared.train), max(1, recipe.batch_size // recipe.repeats))
    plan = planned(left, cost, steps=recipe.epochs * order.steps_per_epoch, learnt=float(LEARNT))
    noted = {
        "trial": plan.trial,
        "final": plan.final,
        "start": round(cost.start, 3),
        "epochs": round(cost.epochs, 3),
        "last": FOR_THE_LAST * (left or 0.0),
        "used": round(limits.spent(), 3),
    }
    ground.study.note("plan", noted)
    return noted


def _rehearsed(ground: Ground) -> Cost:
    """What the default would take on all training images, by some steps and a look."""
    recipe = ground.recipe
    rehearsal = replace(recipe, budget=min(_REHEARSAL, ground.limits.budget))
    learner = learner_for(rehearsal, ground.parts, _features(ground, recipe), Silent())
    began = time.perf_counter()
    state = learner.start(lambda: 0.0, Silent())
    start = time.perf_counter() - began
    steps = recipe.epochs * learner.feed.order.steps_per_epoch
    return Cost(start=start * _WHOLE, epochs=steps * state.decisions.get("seconds_per_step", 0.0) * _WHOLE)


def cost_of(one: Tried, plan: Plan) -> Cost:
    """What a recipe would take on all training images, from what its trial took."""
    result = one.result
    return Cost(start=result.start * _WHOLE, epochs=result.epochs / plan.trial * result.epoch * _WHOLE)


def best_of(tried: Sequence[Tried], sense: str) -> Tried:
    """The best figure of those that went to their end, then the lowest loss, then the earliest; else the first."""
    sign = 1 if sense == "max" else -1
    whole = [one for one in tried if one.result.outcome == "complete" and one.result.figure is not None]
    if not whole:
        return tried[0]
    return max(whole, key=lambda one: (sign * (one.result.figure or 0.0), -(one.result.loss or 0.0), -one.number))


def costs(found: Found, sense: str) -> tuple[Cost, Cost]:
    """What the default and the best of what was tried would take; where that is the default, it may yet be dearer."""
    if not found.tried:
        return found.cost, found.cost
    first, best = found.tried[0], best_of(found.tried, sense)
    default = cost_of(first, found.plan) if first.result.outcome == "complete" else found.cost
    if best is first:
        return default, Cost(start=default.start, epochs=DEARER * default.epochs)
    return default, cost_of(best, found.plan)


def _seconds_for(found: Found, ground: Ground) -> float:
    """How long the next trial may take; 0: there is no time for one."""
    tried, left = found.tried, ground.limits.left()
    if not tried:
        return float("inf") if left is None else left
    longest = max(_SECONDS, _TOO_LONG * tried[0].result.seconds)
    if left is None:
        return longest
    last = sum(cost.of(found.plan.final) for cost in costs(found, ground.monitor[1]))
    left -= min(last, found.last)
    usual = sum(one.result.seconds for one in tried) / len(tried)
    return min(longest, left) if left >= _WORTH_BEGINNING * usual else 0.0


def _result(ground: Ground, recipe: Recipe, seconds: float, hopeless: Callable[[int, float], bool]) -> Result:
    try:
        check_buildable(recipe, len(ground.parts.dataset.classes))
    except UsageError as error:
        return Result(outcome="pruned", why=error.message)
    learner = learner_for(recipe, ground.parts, _features(ground, recipe), Silent())
    return attempt(learner, seconds=seconds, hopeless=hopeless)


def _features(ground: Ground, recipe: Recipe) -> Path:
    """Where to keep what the frozen stages give for this recipe. Of other recipes only the default's are left there."""
    folder = ground.folder.tuning

    def path(one: Recipe) -> Path:
        return folder / f"features-{one.frozen}-{one.views}-{'+'.join(one.augmentation)}"

    kept = {path(recipe).name, path(ground.recipe).name}
    for other in folder.glob("features-*"):
        if other.name.removesuffix(".json") not in kept:
            other.unlink()
    return path(recipe)


def _say_plan(plan: Plan, recipe: Recipe, before: int, voice: Voice) -> None:
    if not plan.trial:
        voice.say("the budget leaves no time to try anything: the default is trained")
        return
    if before:
        voice.say(f"going on after {before} trials")
    voice.say(
        f"a trial has {recipe.epochs * plan.trial:.3g} epochs; the default and the best of them then get "
        f"{recipe.epochs * plan.final:.3g} on all training images"
    )


def _line(tried: Sequence[Tried], ground: Ground) -> str:
    one, (name, sense) = tried[-1], ground.monitor
    figure = f"{name} {one.result.figure:.4f}" if one.result.figure is not None else "no figure"
    how = f"stopped: {one.result.why}" if one.result.why else ""
    if not how and len(tried) > 1 and best_of(tried, sense) is one:
        how = "the best so far"
    values = differing(ground.study.choices, one.values)
    return "  ".join(filter(None, (f"trial {one.number:>2}", figure, values, how)))
