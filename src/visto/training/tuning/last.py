"""The last two trainings: the default recipe and the winner of the trials on all training images, judged alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visto.bundle import Bundle, read_own_bundle
from visto.errors import ResourceError, UsageError
from visto.evaluation import Evaluation
from visto.evaluation.judge import filled
from visto.learn import Recipe
from visto.metrics import paired
from visto.tasks import TASKS
from visto.training.carry_out import Work, carry_out, judged_again
from visto.training.folder import RunFolder
from visto.training.tuning.choices import with_values
from visto.training.tuning.plan import shared
from visto.training.tuning.search import Found, Ground, best_of, costs
from visto.training.tuning.words import is_better, verdict
from visto.types import Figure, Metric, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """A recipe that was carried out on all training images: its bundle, how it was judged on validation, its epochs."""

    recipe: Recipe
    bundle: Bundle
    judged: Evaluation
    history: Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The default and, where another recipe won the trials and could be trained, the winner; and which was kept.

    ``difference`` is winner minus default, figure by figure, on the same validation images; ``words`` say it.
    ``share`` is the share of its epochs that each was given.
    """

    default: Final
    winner: Final | None
    difference: Mapping[str, Figure]
    words: str
    share: float

    @property
    def kept(self) -> Final:
        name, sense = _monitor(self.default)
        if self.winner is not None and is_better(self.difference[name], sense):
            return self.winner
        return self.default


def last(ground: Ground, found: Found, work: Work, voice: Voice) -> Outcome:
    """Train the default, and the best of what was tried where that is another; say whether it is better.

    ``work`` has all training images. Raises ResourceError where the budget leaves no time, Interrupted with the state
    kept.
    """
    noted = ground.study.noted("last") or _shared(ground, found)
    share, best = float(noted["share"]), int(noted["best"])
    recipe = replace(ground.recipe, epochs=ground.recipe.epochs * share)
    voice.say(f"the default on all {len(work.prepared.train):,} training images, {recipe.epochs:.3g} epochs")
    default = _trained(ground.folder, "default", recipe, work, voice)
    held_out = f"{len(ground.parts.prepared.validation):,} held-out images"
    if not best:
        words = "nothing was tried beside the default, which was kept"
        if len(found.tried) > 1:
            words = f"nothing that was tried was better than the default on the {held_out}; the default was kept"
        return Outcome(default=default, winner=None, difference={}, words=words, share=share)
    chosen = with_values(ground.recipe, found.tried[best].values)
    chosen = replace(chosen, epochs=chosen.epochs * share)
    voice.say(f"the winner, trial {best}, on the same images, {chosen.epochs:.3g} epochs")
    try:
        winner = _trained(ground.folder, "winner", chosen, work, voice)
    except UsageError as error:
        words = f"the winner of the trials could not be trained at full length ({error.message}); the default was kept"
        return Outcome(default=default, winner=None, difference={}, words=words, share=share)
    difference = _difference(default, winner)
    name, sense = _monitor(default)
    words = verdict(difference[name], name, sense, default.judged.n)
    return Outcome(default=default, winner=winner, difference=difference, words=words, share=share)


def _shared(ground: Ground, found: Found) -> dict[str, Any]:
    """Decide which trial is the best, and what share of its epochs each last training has time for; keep that."""
    sense = ground.monitor[1]
    best = best_of(found.tried, sense).number if found.tried else 0
    default, winner = costs(found, sense)
    left = ground.limits.left()
    share = found.plan.final if left is None else shared(left, [default, winner] if best else [default])
    if share <= 0:
        raise ResourceError(
            f"the budget of {ground.limits.budget:g} s is spent before the first step: "
            f"{ground.limits.spent():.1f} s on reading and trials, {ground.limits.ending:.1f} s are kept back for "
            "judging and writing",
            hint="give it more time; what was read is in the cache",
        )
    noted = {"best": best, "share": round(share, 4) or 1e-4}
    ground.study.note("last", noted)
    return noted


def _trained(folder: RunFolder, name: str, recipe: Recipe, work: Work, voice: Voice) -> Final:
    """An ordinary run inside the folder of the tuning, found, gone on with, or started."""
    inner = folder.inside(folder.tuning, name)
    if inner.bundle.exists():
        bundle = read_own_bundle(inner.bundle)
        return Final(recipe=recipe, bundle=bundle, judged=judged_again(bundle, work), history=inner.read_history())
    with inner.held():
        if not inner.unfinished:
            settings = {name: value for name, value in folder.read_settings().items() if name != "ended"}
            inner.begin({**settings, "recipe": recipe.to_json()})
        bundle, judged = carry_out(inner, recipe, work, lambda: 0.0, voice)
    return Final(recipe=recipe, bundle=bundle, judged=judged, history=inner.read_history())


def _difference(default: Final, winner: Final) -> Mapping[str, Figure]:
    """Winner minus default on the same resamples of the same images: the monitored figure, and the log-loss."""
    groups = [item.group for item in default.judged.pixels.items]
    return paired(
        _metrics(default), _metrics(winner), n=default.judged.n, groups=groups if any(groups) else None
    ).difference


def _metrics(one: Final) -> list[Metric[Any]]:
    manifest = one.bundle.manifest
    task = TASKS[manifest.task](classes=manifest.classes, **manifest.head)
    targets = [item.target for item in one.judged.pixels.items]
    names = {task.monitor[0], "log_loss"}
    return [metric for metric in filled(task, one.judged.answers, targets) if names & metric.compute().keys()]


def _monitor(one: Final) -> tuple[str, str]:
    manifest = one.bundle.manifest
    name, sense = TASKS[manifest.task](classes=manifest.classes).monitor
    return name, sense
