"""The ladder: from the majority class upwards, spending more only where it helps, until the budget is spent.

A rung is climbed where its estimated time can be spared, and replaces the best one only where a paired interval on the
validation images says that it is better; ties go to the cheaper. What was decided by the clock is journalled in
``ladder.json`` and never decided anew.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace

import torch

from visto.bundle import Bundle, read_own_bundle, write_bundle
from visto.data.dataset import Dataset
from visto.data.facts import look_at
from visto.errors import BudgetError, UsageError
from visto.evaluation import Evaluation
from visto.learn import Recipe
from visto.preprocess import PREPROCESS, Fit
from visto.recipes import Request
from visto.tasks import names_one_class
from visto.training.at_once import ENDING
from visto.training.carry_out import Work, carry_out, judged_again
from visto.training.cost import Cost, cost_of, seconds_of_features
from visto.training.ensemble import carry_out_asked, carry_out_together
from visto.training.folder import RunFolder
from visto.training.inherit import pretrained_weights
from visto.training.journal import Journal, Row, weighed
from visto.training.plan import Plan
from visto.training.prepare import mean_and_deviation, prepare
from visto.training.rungs import FROZEN, MAJORITY, Rung, at_once, narrower, rungs_for
from visto.training.settle import plan_of, settled, tried
from visto.types import Voice

_FIRST = "majority class"
# what cheaper rungs may take in all where the top one could use all of the budget: a twentieth of it, or ten seconds
# where that is no more than a fifth
_SHARE, _SECONDS, _MOST = 0.05, 10.0, 0.2
_STARTING = 1.3  # seconds until scikit-learn is there
_PASSES = 4.0  # over the images: a narrower net learns more in the same time where a wide one has fewer
_MEMBERS = 5  # of an ensemble at most
_CAREFUL = 0.9  # of the time that is left: other work may slow the machine down
_LEAST = 1.0  # seconds: less is not worth a beginning
_ENSEMBLE = "ensemble of the best"
# what a request may say beside its budget without being tied to one model
_ANY_MODEL = {"budget", "size", "prepare", "scratch", "precision", "device", "balance", "seed", "split_seed"}


def climbs(request: Request, task: str) -> bool:
    """Whether a budget is given, nothing that ties it to one model, and images have one class each."""
    given = request.given()
    return "budget" in given and names_one_class(task) and not given.keys() - _ANY_MODEL


def first_rung(request: Request, dataset: Dataset) -> Request:
    """What the first run is asked for: the majority class where there is a ladder to climb, else what was asked."""
    return at_once(request, MAJORITY) if climbs(request, dataset.task) else request


def carry_out_climbing(
    folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice
) -> tuple[Bundle, Evaluation]:
    """The bundle of the best rung where a ladder was asked for, else of what was asked for, and how it was judged."""
    request = Request(**folder.read_settings()["request"])
    if not climbs(request, work.dataset.task):
        return carry_out_asked(folder, recipe, work, clock, voice)
    return Ladder(folder, request, recipe, work, clock, voice).climb()


class Ladder:
    """A climb in ``folder`` with ``request``; ``first`` is the recipe of the first rung, ``work`` its images."""

    def __init__(
        self,
        folder: RunFolder,
        request: Request,
        first: Recipe,
        work: Work,
        clock: Callable[[], float],
        voice: Voice,
    ) -> None:
        self.folder, self.request, self.work, self.voice = folder, request, work, voice
        self.journal = Journal(folder.ladder, clock)
        self.clock: Callable[[], float] = self.journal.clock
        self.budget = float(request.budget or 0)
        self.spread = mean_and_deviation(work.prepared.train)
        self.facts = look_at([item for item in work.dataset.items if item.split == "train"])
        self.prepared = {_fit_of(first).key: work}
        self.best: tuple[Row, Bundle, Evaluation] | None = None

    @property
    def left(self) -> float:
        """Seconds that may still be spent on learning."""
        return self.budget - self.clock() - ENDING

    def climb(self) -> tuple[Bundle, Evaluation]:
        """All rungs, from the majority class upwards; the bundle of the best, and how it was judged."""
        self._take(Rung(name=_FIRST, request=at_once(self.request, MAJORITY)), lambda: torch.inf)
        rungs, wanted = self._planned()
        spare, before = max(_SHARE * self.budget, min(_SECONDS, _MOST * self.budget)), self.clock()
        for rung in rungs:
            if rung.top:
                self._take(rung, lambda: self.left)
            else:
                # nothing of what the top rung would use, but for a small part of all
                self._take(rung, lambda: min(self.left, max(self.left - wanted, spare - (self.clock() - before))))
        self._together()
        return self._conclude()

    def _planned(self) -> tuple[list[Rung], float]:
        """The rungs above the first, and the seconds that the top one would like to have."""
        if not self.journal.plan:
            found = rungs_for(self.facts, self.request, len(self.work.dataset))
            recipe, _ = self._settled(found[-1])
            wanted = self._cost(recipe).of(recipe) if self.left > 0 else 0.0
            self.journal.decide_plan([rung.to_json() for rung in found], wanted)
        rungs = [Rung.from_json(content) for content in self.journal.plan]
        names = ", ".join(rung.name for rung in rungs)
        self.voice.say(
            f"the ladder: {_FIRST}, {names}, {_ENSEMBLE}. {rungs[-1].name} would take about "
            f"{self.journal.wanted:.0f} s, {max(0.0, self.left):.0f} s are left"
        )
        return rungs, self.journal.wanted

    def _take(self, rung: Rung, free: Callable[[], float]) -> None:
        """Climb a rung where the ``free`` seconds suffice, or were found to suffice before; note it either way."""
        if row := self.journal.decided(rung.name):
            self._restore(row)
            return
        inner = self._inner(rung.name)
        if not inner.bundle.exists() and not inner.unfinished:
            if free() < _LEAST:
                self._leave_out(rung.name, "no time is left")
                return
            if too_long := self._cheaper_left_out(rung):
                self._leave_out(rung.name, f"it is dearer than {too_long}, which took too long")
                return
            recipe, why = self._fitting(rung, free())
            if recipe is None:
                self._leave_out(rung.name, why)
                return
            self.voice.say(f"── {rung.name}")
            with inner.held():
                settings = self.folder.read_settings()
                inner.begin({**settings, "recipe": recipe.to_json(), "request": rung.request.given()})
        began = self.clock()
        try:
            bundle, judged = self._carried_out(inner)
        except (BudgetError, UsageError) as error:  # a net that diverges must not cost what the others have learnt
            self._leave_out(rung.name, error.message)
            return
        self._weigh(rung.name, bundle, judged, self.clock() - began)

    def _cheaper_left_out(self, rung: Rung) -> str:
        """The classic model before this one that there was no time to fit, if any: they come in the order of cost."""
        if not rung.request.features:
            return ""
        names = [row.name for row in self.journal.rows if row.value is None]
        plan = [Rung.from_json(content) for content in self.journal.plan]
        return next((known.name for known in plan if known.request.features and known.name in names), "")

    def _carried_out(self, inner: RunFolder) -> tuple[Bundle, Evaluation]:
        """The bundle of a rung that was begun, and how it is judged."""
        recipe = Recipe.from_json(inner.read_settings()["recipe"])
        work = self._work(_fit_of(recipe))
        if inner.bundle.exists():
            bundle = read_own_bundle(inner.bundle)
            return bundle, judged_again(bundle, work)
        with inner.held():
            return carry_out(inner, recipe, work, self.clock, self.voice)

    def _fitting(self, rung: Rung, free: float) -> tuple[Recipe | None, str]:
        """The recipe of a rung as it fits into ``free`` seconds, or None and the words for it."""
        until = self.clock() + free
        recipe, plan = self._settled(rung)
        if recipe.learner == "classic":
            estimate = self._seconds_of_features(recipe) + _STARTING
            if estimate > free:
                return None, _too_long(estimate, free)
            return (replace(recipe, budget=until + ENDING) if self.budget > free else recipe), ""
        cost = self._cost(recipe)
        if cost.of(recipe) <= free:
            return (self._shaped(recipe, plan) if 2 * cost.of(recipe) <= free else recipe), ""
        if recipe.views:
            fewer = int(0.5 * free / max(cost.view, 1e-9)) - 1
            recipe = replace(recipe, views=max(0, min(recipe.views, fewer)))
        if not rung.top:
            return (recipe, "") if cost.of(recipe) <= free else (None, _too_long(cost.of(recipe), free))
        if recipe.model.name == "speedrun":
            recipe, cost = self._narrowed(recipe, free)
        if cost.fixed(recipe) > free:
            return None, _too_long(cost.fixed(recipe), free)
        return replace(recipe, budget=until + ENDING), ""

    def _shaped(self, recipe: Recipe, plan: Plan) -> Recipe:
        """With the shape of input that suits a pretrained model best, where there are several."""
        if not recipe.pretrained or len(plan.fits) < 2:
            return recipe
        weights = pretrained_weights(recipe, self.voice, download=False)
        plan = tried(plan, recipe, weights, self.work.dataset, torch.get_num_threads(), self.voice)
        model = recipe.model.with_arguments(size=plan.fit.arguments["size"])
        return replace(recipe, model=model, preprocess=recipe.preprocess.with_arguments(**plan.fit.arguments))

    def _narrowed(self, recipe: Recipe, free: float) -> tuple[Recipe, Cost]:
        """The widest speedrun that sees all images often enough in ``free`` seconds, else the narrowest."""
        for arguments in narrower(self.facts):
            narrow = replace(recipe, model=recipe.model.with_arguments(**arguments))
            cost = self._cost(narrow)
            if cost.epoch * _PASSES <= free:
                break
        return narrow, cost

    def _seconds_of_features(self, recipe: Recipe) -> float:
        prepared = self.work.prepared
        return seconds_of_features(recipe, prepared.train) * (len(prepared.train) + len(prepared.validation))

    def _cost(self, recipe: Recipe) -> Cost:
        prepared = self.work.prepared
        return cost_of(recipe, self.work.dataset.classes, prepared.train, len(prepared.validation))

    def _settled(self, rung: Rung) -> tuple[Recipe, Plan]:
        """The recipe of a rung: all that are not pretrained see the images as the first does."""
        dataset, train = self.work.dataset, self.work.prepared.train
        plan = plan_of(dataset, rung.request, None, self.facts)
        return settled(plan, dataset, rung.request, None, len(train), *self.spread), plan

    def _work(self, fit: Fit) -> Work:
        if fit.key not in self.prepared:
            threads = torch.get_num_threads()
            prepared = prepare(self.work.dataset, fit, threads=threads, voice=self.voice)
            self.prepared[fit.key] = replace(self.work, prepared=prepared)
        return self.prepared[fit.key]

    def _inner(self, name: str) -> RunFolder:
        return self.folder.inside(self.folder.rungs, "".join(c if c.isalnum() else "-" for c in name))

    def _weigh(self, name: str, bundle: Bundle, judged: Evaluation, seconds: float) -> None:
        """Compare what a rung answers on the validation images with the best so far."""
        row = weighed(name, bundle, judged, seconds, self.best[0].name if self.best else "", self.best and self.best[2])
        self.voice.say(row.line())
        self.journal.decide(row)
        if row.kept:
            self.best = (row, bundle, judged)

    def _restore(self, row: Row) -> None:
        """The best as it was when the run was stopped."""
        if row.kept:
            bundle = read_own_bundle(self._inner(row.name).bundle)
            work = self._work(bundle.manifest.preprocess.build(PREPROCESS).fit)
            self.best = (row, bundle, judged_again(bundle, work))

    def _leave_out(self, name: str, why: str) -> None:
        row = Row(name=name, words=f"left out: {why}")
        self.voice.say(row.line())
        self.journal.decide(row)

    def _together(self) -> None:
        """More of the best from other seeds, where time for at least one is left and it learns by chance at all."""
        if row := self.journal.decided(_ENSEMBLE):
            self._restore(row)
            return
        assert self.best is not None  # noqa: S101  (the majority class is always there)
        best, own = self.best[0], self._inner(self.best[0].name)
        recipe = Recipe.from_json(own.read_settings()["recipe"])
        inner = self._inner(_ENSEMBLE)
        if not inner.bundle.exists() and not inner.unfinished:
            count = min(_MEMBERS, 1 + int(_CAREFUL * max(0.0, self.left) / max(best.seconds, 0.1)))
            if recipe.learner == "classic" or best.name == FROZEN or count < 2:
                why = (
                    _too_long(best.seconds, max(0.0, self.left)) if count < 2 else f"{best.name} hardly hangs on chance"
                )
                self._leave_out(_ENSEMBLE, why)
                return
            with inner.held():
                inner.begin({**own.read_settings(), "ended": False, "members": count})
        settings = inner.read_settings()
        recipes = [replace(recipe, seed=recipe.seed + k, budget=0.0) for k in range(settings["members"])]
        self.voice.say(f"── {_ENSEMBLE}: {best.name}, {len(recipes)} members")
        began, work = self.clock(), self._work(_fit_of(recipe))
        if inner.bundle.exists():
            bundle = read_own_bundle(inner.bundle)
            judged = judged_again(bundle, work)
        else:
            with inner.held():
                _copy(own, inner.inside(inner.members, "0"))
                bundle, judged = carry_out_together(inner, recipes, work, self.clock, self.voice)
                inner.finish()
        self._weigh(_ENSEMBLE, bundle, judged, self.clock() - began + best.seconds)

    def _conclude(self) -> tuple[Bundle, Evaluation]:
        """Write the bundle of the best, with what was climbed, and say it."""
        assert self.best is not None  # noqa: S101
        row, bundle, judged = self.best
        rows = [each.to_json() for each in self.journal.rows]
        words = f"{row.name} is the best for its price, after {self.clock():.0f} of {self.budget:g} s"
        if row.name == _FIRST:
            words = f"nothing was found to be better than always answering {_common(bundle)!r}"
        self.voice.say(words)
        recipe = {**bundle.manifest.recipe, "ladder": {"rungs": rows, "best": row.name, "words": words}}
        inner = self._inner(row.name)
        history = [*({"rung": each["name"], **each} for each in rows), *inner.read_history()]
        self.folder.write_history(history)
        write_bundle(self.folder.bundle, replace(bundle.manifest, recipe=recipe), bundle.weights, bundle.seen)
        self.folder.finish()
        return read_own_bundle(self.folder.bundle), judged


def _fit_of(recipe: Recipe) -> Fit:
    return recipe.preprocess.build(PREPROCESS).fit


def _too_long(estimate: float, free: float) -> str:
    return f"it would take about {estimate:.0f} s, {free:.0f} s can be spared"


def _common(bundle: Bundle) -> str:
    return bundle.manifest.classes[int(bundle.weights["shares"].argmax())]


def _copy(source: RunFolder, target: RunFolder) -> None:
    """A run that has ended, for one of the members of an ensemble."""
    if not target.bundle.exists():
        target.bundle.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source.path, target.path, dirs_exist_ok=True)
        shutil.copytree(source.bundle, target.bundle)
