"""Tune: try settings on a part held out of the training images, train the best beside the default, keep the better."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from visto.bundle import Bundle, read_bundle
from visto.data.dataset import Dataset
from visto.errors import UsageError
from visto.evaluation import Evaluation
from visto.files import write_json
from visto.learn import Recipe
from visto.memory import keep_freed_memory
from visto.recipes import Request
from visto.tasks import TASKS
from visto.training.carry_out import Work, write
from visto.training.folder import RunFolder
from visto.training.prepare import changed_since, stamps
from visto.training.run import Trained, resumed, started
from visto.training.settle import check_suited, plan_of, settled
from visto.training.tuning.choices import choices_of
from visto.training.tuning.extra import study_class
from visto.training.tuning.held_out import parted
from visto.training.tuning.last import Outcome, last
from visto.training.tuning.record import in_brief, record
from visto.training.tuning.search import Ground, Limits, search
from visto.types import Voice


def tune(
    dataset: Dataset,
    out: Path,
    request: Request,
    *,
    voice: Voice,
    resume: bool = False,
    inexact: bool = False,
    threads: int = 0,
    clock: Callable[[], float] | None = None,
) -> Trained:
    """Choose settings for ``dataset`` and write the bundle ``out``; with ``resume`` go on where a tuning stopped.

    What ``request`` gives stays as it is given, unless its ``search`` names it; its ``budget`` covers everything, as
    ``clock`` counts it. Raises UsageError (where Optuna is missing too), DataError, ModelError, ResourceError;
    Interrupted with all that has ended kept.
    """
    began = time.perf_counter()
    check_suited(dataset, request)
    study_class()
    clock = clock or (lambda: time.perf_counter() - began)
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    keep_freed_memory()
    folder = RunFolder(out)
    if resume and out.exists():
        voice.say(f"{out} is finished already")
        if folder.unswept:
            with folder.held():
                folder.finish()
        # nothing shows that it is this run's: where keys are trusted, one of them must have signed it
        return Trained(bundle=read_bundle(out), seconds=0.0)
    folder.check_no_bundle()
    with folder.held():
        if not resume:
            folder.check_no_run()
        if resume and folder.unfinished:
            recipe, prepared = resumed(folder, dataset, request, None, threads, inexact, voice)
            request = Request(**folder.read_settings()["request"])
        else:
            _check_tunable(dataset, request)
            recipe, prepared = started(folder, dataset, request, None, threads, voice)
        seen = stamps(prepared.train)
        bundle, judged = _tuned(folder, recipe, request, Work(dataset=dataset, prepared=prepared), clock, voice)
        for name in changed_since(prepared.train, seen):
            voice.say(f"{name} has changed during the run; what was read at its start was used")
    return Trained(bundle=bundle, seconds=time.perf_counter() - began, judged=judged)


def _check_tunable(dataset: Dataset, request: Request) -> None:
    """Raise UsageError for what cannot be searched, before the long reading."""
    if request.trials is not None and request.trials < 1:
        raise UsageError(f"{request.trials} trials", expected="1 or more")
    plan = plan_of(dataset, request, None)
    unknown = [0.5] * plan.fit.channels
    choices_of(settled(plan, dataset, request, None, len(dataset), unknown, unknown), request)


def _tuned(
    folder: RunFolder, recipe: Recipe, request: Request, work: Work, clock: Callable[[], float], voice: Voice
) -> tuple[Bundle, Evaluation]:
    """Search, train the last two, write what is kept. The folder is held, and knows what the run was started with."""
    recipe = replace(recipe, budget=0.0)
    ground = _ground(folder, recipe, request, work, clock)
    names = ", ".join(choice.name for choice in ground.study.choices)
    learn, held = ground.parts.prepared.train, ground.parts.prepared.validation
    voice.say(
        f"choosing {names}: a trial learns from {len(learn):,} training images and is judged on {len(held):,} others; "
        "validation and test images are not looked at"
    )
    found = search(ground, voice)
    outcome = last(ground, found, work, voice)
    content = record(ground, found, outcome)
    write_json(folder.tuned, content)
    return _write(folder, work, outcome, {"tuning": in_brief(content)})


def _ground(folder: RunFolder, recipe: Recipe, request: Request, work: Work, clock: Callable[[], float]) -> Ground:
    learn, held = parted(work.prepared.train, seed=recipe.seed)
    task = TASKS[recipe.task](classes=work.dataset.classes)
    study = study_class()(folder.study, choices_of(recipe, request), seed=recipe.seed, sense=task.monitor[1])
    noted = study.noted("plan")
    before = noted["used"] + sum(one.result.seconds for one in study.ended()) if noted else 0.0
    limits = Limits(
        budget=request.budget or 0.0,
        trials=request.trials or 0,
        spent=lambda: before + clock(),
        ending=_ending(len(work.prepared.validation)),
    )
    return Ground(
        folder=folder,
        study=study,
        recipe=recipe,
        parts=replace(work, prepared=replace(work.prepared, train=learn, validation=held)),
        monitor=task.monitor,
        limits=limits,
    )


def _ending(images: int) -> float:
    """Seconds to judge two models on so many validation images, compare them, and write bundle and report."""
    return 2.0 + 0.002 * images


def _write(folder: RunFolder, work: Work, outcome: Outcome, more: dict[str, object]) -> tuple[Bundle, Evaluation]:
    """Write the bundle that is kept once more, as that of the run itself, with what the tuning says of it."""
    kept = outcome.kept
    manifest = kept.bundle.manifest
    task = TASKS[manifest.task](classes=manifest.classes, **manifest.head)
    folder.write_history(kept.history)
    bundle = write(
        folder,
        work,
        task,
        kept.judged,
        model=manifest.model,
        recipe={**manifest.recipe, **more},
        weights=kept.bundle.weights,
    )
    folder.finish()
    return bundle, kept.judged
