"""Several models as one: trained one after the other from different seeds, weighed on validation, one bundle."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from visto.bundle import Bundle, read_own_bundle
from visto.evaluation import Evaluation
from visto.evaluation.judge import filled
from visto.learn import Recipe, outputs
from visto.metrics import paired
from visto.models import build_model
from visto.models.ensemble import as_logits, blended, log_scores
from visto.preprocess import PREPROCESS
from visto.spec import Spec
from visto.tasks import TASKS
from visto.training.carry_out import Work, calibrated, carry_out, stored, write
from visto.training.folder import RunFolder
from visto.types import Answer, Figure, Metric, Task, Voice

# of validation: below, the selection may lose as much log-loss on unseen images against equal weights as it wins
# (five nets on digits, log-loss 0.35 and 0.12: with 50 images −0.008 and +0.010, with 200 −0.020 and +0.003)
_FEWEST_IMAGES = 200
_ROUNDS = 40  # of the selection: weights in steps of a fortieth
_BY_THE_DATA = ("classes", "channels", "size")  # arguments that the members have in common


def carry_out_asked(
    folder: RunFolder, recipe: Recipe, work: Work, clock: Callable[[], float], voice: Voice
) -> tuple[Bundle, Evaluation]:
    """The bundle of one model, or of an ensemble of as many as the run was started with, and how it was judged."""
    count = folder.read_settings()["request"].get("ensemble")
    if not count:
        return carry_out(folder, recipe, work, clock, voice)
    recipes = [replace(recipe, seed=recipe.seed + k, budget=recipe.budget / count) for k in range(count)]
    bundle, judged = carry_out_together(folder, recipes, work, clock, voice)
    folder.finish()
    return bundle, judged


def carry_out_together(
    folder: RunFolder, recipes: Sequence[Recipe], work: Work, clock: Callable[[], float], voice: Voice
) -> tuple[Bundle, Evaluation]:
    """The bundle of an ensemble with a member for each recipe, and how it was judged; members that are there count."""
    members = _members(folder, recipes, work, clock, voice)
    histories = [folder.inside(folder.members, str(k)).read_history() for k in range(len(recipes))]
    folder.write_history(_mean(histories))
    return _together(folder, recipes, members, work, voice)


def _members(
    folder: RunFolder, recipes: Sequence[Recipe], work: Work, clock: Callable[[], float], voice: Voice
) -> list[Bundle]:
    """One run a member, each found where it has ended and gone on with where it was stopped."""
    used, settings = clock() / len(recipes), folder.read_settings()  # each pays its part of the reading

    def own_clock() -> Callable[[], float]:
        began = time.perf_counter()
        return lambda: used + time.perf_counter() - began

    bundles = []
    for k, recipe in enumerate(recipes):
        member = folder.inside(folder.members, str(k))
        voice.say(f"member {k + 1} of {len(recipes)}, seed {recipe.seed}")
        if member.bundle.exists():
            bundles.append(read_own_bundle(member.bundle))
            continue
        with member.held():
            if not member.unfinished:
                member.begin({**settings, "recipe": recipe.to_json()})
            bundles.append(carry_out(member, recipe, work, own_clock(), voice)[0])
    return bundles


def _together(
    folder: RunFolder, recipes: Sequence[Recipe], members: Sequence[Bundle], work: Work, voice: Voice
) -> tuple[Bundle, Evaluation]:
    """Weigh the members on validation, calibrate and judge their mean there, and write it."""
    recipe, validation = recipes[0], work.prepared.validation
    preprocess = recipe.preprocess.build(PREPROCESS)
    task = TASKS[recipe.task](classes=work.dataset.classes, label_smoothing=recipe.label_smoothing)
    found = [outputs(task, b.manifest.model, preprocess, b.weights, validation)["logits"] for b in members]
    scores = log_scores(torch.stack(found), task.blend, torch.tensor([_temperature(b) for b in members]))
    targets = task.collate([item.target for item in validation.items])
    counts = [1] * len(members)
    if len(validation) >= _FEWEST_IMAGES:
        counts = select(scores, lambda logits: task.look({"logits": logits}, targets)["loss"])
    shares = [count / sum(counts) for count in counts]
    kept = [k for k, count in enumerate(counts) if count]
    logits = blended(scores[:, kept], torch.tensor([shares[k] for k in kept]))
    task, judged = calibrated(task, recipe, {"logits": logits}, work)
    seeds = [each.seed for each in recipes]
    said = _said(members, found, (task, judged), work, seeds)
    model = _spec([members[k] for k in kept], [shares[k] for k in kept], task.blend)
    weights = stored(
        {f"members.{place}.{name}": v for place, k in enumerate(kept) for name, v in members[k].weights.items()}
    )
    build_model(model).load_state_dict(weights)  # before the members go: without, a mistake would cost their training
    size = sum(value.nbytes for value in weights.values())
    voice.say(f"{len(kept)} of {len(members)} members kept, {size / 1e6:.1f} MB in all")
    bundle = write(
        folder,
        work,
        task,
        judged,
        model=model,
        recipe={
            **made_together([b.manifest.recipe for b in members]),
            "ensemble": {"weights": shares, "seeds": seeds, **said.to_json()},
        },
        weights=weights,
    )
    return bundle, judged


def select(log_scores_pmnk: Tensor, loss: Callable[[Tensor], float]) -> list[int]:
    """How often each of M members is taken: greedy selection with replacement (Caruana et al. 2004).

    Begins with the best member, adds the one that makes the mean best until there are 40, and gives the best mean on
    the way: so its ``loss``, of logits N×K, is never above that of the best member. The scores are to be those of
    calibrated members: label smoothing leaves members unsure, each by another degree, and without their temperatures
    the surest is taken, not the best (speedrun on digits, log-loss 0.042 and 0.074: the second got all the weight, and
    the ensemble had 0.074; weighed as calibrated they have 0.76 and 0.24, and it has 0.033).
    """
    bag, counts, known = torch.full_like(log_scores_pmnk[:, 0], -torch.inf), [0] * log_scores_pmnk.shape[1], []
    for size in range(1, _ROUNDS + 1):
        grown = [torch.logaddexp(bag, member) for member in log_scores_pmnk.unbind(1)]
        losses = [loss(as_logits(each - log(size))) for each in grown]
        best = losses.index(min(losses))
        bag = grown[best]
        counts[best] += 1
        known.append((losses[best], list(counts)))
    return min(known, key=lambda one: one[0])[1]


def _spec(members: Sequence[Bundle], weights: list[float], blend: str) -> Spec[nn.Module]:
    """The members side by side, each the model of its own bundle: with a second look where it kept one."""
    models = [bundle.manifest.model for bundle in members]
    arguments: dict[str, Any] = {name: models[0].arguments[name] for name in _BY_THE_DATA}
    arguments["members"] = [
        {"name": model.name, "arguments": {k: v for k, v in model.arguments.items() if k not in _BY_THE_DATA}}
        for model in models
    ]
    temperatures = [_temperature(bundle) for bundle in members]
    return Spec(
        name="ensemble", arguments={**arguments, "weights": weights, "temperatures": temperatures, "blend": blend}
    )


def _temperature(member: Bundle) -> float:
    """What its own calibration divides its logits by."""
    return float(member.manifest.head["temperature"])


def made_together(recipes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a bundle says of its making, from what its members say: the first's, with what all of them took.

    The share of seconds that was spent waiting, and the most memory, are said where every member says its own: those
    of an older Visto do not.
    """
    seconds = sum(each["seconds"] for each in recipes)
    made = {name: value for name, value in recipes[0].items() if name not in ("waiting", "peak_memory")}
    made["seconds"] = round(seconds, 1)
    if all("waiting" in each for each in recipes):
        waited = sum(each["waiting"] * each["seconds"] for each in recipes)
        made["waiting"] = round(waited / max(seconds, 1e-9), 4)
    if all("peak_memory" in each for each in recipes):
        made["peak_memory"] = max(each["peak_memory"] for each in recipes)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """Figures of each member, the ensemble's minus those of the best member (number ``best``), and that in words."""

    figures: Sequence[Mapping[str, float]]
    best: int
    difference: Mapping[str, Figure]
    words: str

    def to_json(self) -> dict[str, Any]:
        return {
            "figures": [dict(figures) for figures in self.figures],
            "best": self.best,
            "difference": {name: figure.to_json() for name, figure in self.difference.items()},
            "words": self.words,
        }


def _said(
    members: Sequence[Bundle],
    logits: Sequence[Tensor],
    all_of_them: tuple[Task[Any, Any], Evaluation],
    work: Work,
    seeds: Sequence[int],
) -> _Said:
    """Compare the ensemble with the best of its members on the validation images, image by image."""
    task, judged = all_of_them
    (monitored, sense), sign = task.monitor, 1 if task.monitor[1] == "max" else -1
    names = [name for name in (monitored, "log_loss") if name in judged.figures]
    figures = [{name: b.manifest.metrics[name].value for name in names} for b in members]
    best = max(range(len(members)), key=lambda k: [sign * figures[k][names[0]], -figures[k].get("log_loss", 0.0)])
    own = TASKS[judged.task](classes=judged.classes, **members[best].manifest.head)
    answers = own.answers(own.head({"logits": logits[best]}), ())
    groups = [item.group for item in judged.pixels.items]
    difference = paired(
        _metrics(task, answers, work, names),
        _metrics(task, judged.answers, work, names),
        n=judged.n,
        groups=groups if any(groups) else None,
    ).difference
    return _Said(
        figures=figures,
        best=best,
        difference=difference,
        words=verdict(difference, names[0], sense, seed=seeds[best], n=judged.n),
    )


def _metrics(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], work: Work, names: Sequence[str]
) -> list[Metric[Any]]:
    """Those that give one of the ``names``."""
    targets = [item.target for item in work.prepared.validation.items]
    return [metric for metric in filled(task, answers, targets) if set(names) & metric.compute().keys()]


def verdict(difference: Mapping[str, Figure], name: str, sense: str, *, seed: int, n: int) -> str:
    """In a sentence whether the ensemble is better than its best member: ``difference`` is the one minus the other."""
    figure, loss = difference[name], difference.get("log_loss")
    against, images = f"the best of them (seed {seed})", f"{n:,} validation images"
    if figure.low is None or figure.high is None:
        words = f"no difference in {name} between the ensemble and {against} shows on {images}"
    else:
        low, high = (figure.low, figure.high) if sense == "max" else (-figure.high, -figure.low)
        measured = f"{_signed(name, figure)} on {images}"
        if low > 0:
            return f"the ensemble is better than {against}: {measured}"
        if high < 0:
            return f"the ensemble is worse than {against}: {measured}; train that one alone with --seed {seed}"
        words = f"the ensemble is not surely better than {against}, which these very images made the best: {measured}"
    surer = loss is not None and loss.high is not None and loss.high < 0
    return f"{words}; its scores are better: {_signed('log_loss', loss)}" if loss and surer else words


def _signed(name: str, figure: Figure) -> str:
    return f"{name} {figure.value:+.4f} ({figure.low:+.4f} to {figure.high:+.4f})"


def _mean(histories: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row an epoch: the mean over the members that came so far, whose own rows stand in ``members``."""
    rows: list[dict[str, Any]] = []
    for epoch in range(max(map(len, histories))):
        own = [history[epoch] for history in histories if epoch < len(history)]
        shared = [name for name in own[0] if all(name in row for row in own)]
        mean = {name: sum(row[name] for row in own) / len(own) for name in shared}
        rows.append({**mean, "members": [dict(row) for row in own]})
    return rows
