"""The fit of a classic model in a run: shown, limited by the budget, ended by Ctrl-C."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from visto.data.cache import Pixels
from visto.errors import BudgetError
from visto.learn import Recipe
from visto.learn.classic import Fitted, fit_classic
from visto.learn.feed import collated
from visto.learn.solve import Late
from visto.memory import peak_memory
from visto.models.features.deep import BACKBONE
from visto.models.weights import load
from visto.preprocess import PREPROCESS
from visto.spec import Spec
from visto.tasks import TASKS
from visto.training.folder import RunFolder
from visto.training.learning import stoppable
from visto.types import Voice

ENDING = 3.0  # seconds that judging, bundle and report are given


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """The model, its tensors, the seconds that features and fit took, and the most memory held until then."""

    model: Spec[nn.Module]
    weights: Mapping[str, Tensor]
    seconds: float
    peak_memory: int


def fit_at_once(folder: RunFolder, recipe: Recipe, train: Pixels, clock: Callable[[], float], voice: Voice) -> AtOnce:
    """Raises BudgetError where the budget does not allow the fit; Interrupted when asked to stop, with nothing kept."""
    began = time.perf_counter()
    published = load(BACKBONE, voice) if "deep" in recipe.model.arguments.get("features", ()) else None
    task = TASKS[recipe.task](classes=[str(k) for k in range(recipe.model.arguments["classes"])])
    labels = collated(task, train, recipe.preprocess.build(PREPROCESS).fit).argmax(1)
    seconds = max(1.0, recipe.budget - clock() - ENDING) if recipe.budget else 0.0
    found: str | Fitted | Late | None = None
    work = fit_classic(recipe, train, labels, folder.path / "fit", published=published, seconds=seconds)
    with stoppable() as stopped:
        for now in _shown(work, voice):
            found = now
            if isinstance(now, str) and recipe.budget and clock() > recipe.budget - ENDING:
                work.close()
                raise BudgetError(
                    f"the budget is spent before the model {recipe.model.name} is fitted",
                    hint="give it more time, or take a faster model or fewer --features",
                )
            if stopped:
                work.close()
                raise stopped[0](
                    "stopped before the fit was done; it begins anew with the same command and --resume",
                    hint="what was read is in the cache",
                )
    if isinstance(found, Late):
        raise BudgetError(
            f"the model {recipe.model.name} would take about {found.seconds:.0f} s to fit, {seconds:.0f} s are left",
            hint="give it more time, or --set components=32, or a faster model: logistic, tree",
        )
    assert isinstance(found, Fitted)  # noqa: S101  (the last thing that the fit yields)
    if found.warning:
        voice.say(f"careful: {found.warning}")
    spent, memory = time.perf_counter() - began, peak_memory()
    what = "features and fit" if "features" in recipe.model.arguments else "counting"
    voice.say(f"{what} took {spent:.1f} s; at most {memory / 1e9:.2f} GB of memory were in use")
    return AtOnce(model=found.model, weights=found.weights, seconds=spent, peak_memory=memory)


def _shown(work: Iterator[str | Fitted | Late], voice: Voice) -> Iterator[str | Fitted | Late]:
    """Each kind of words said once."""
    before = ""
    for found in work:
        if isinstance(found, str) and (kind := found.split()[0]) != before:
            before = kind
            if kind == "fitting":
                voice.say(f"{found}, in a process of its own")
        yield found
