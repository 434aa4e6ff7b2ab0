"""What a user asked for, laid over a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from visto.errors import UsageError
from visto.learn import Recipe
from visto.recipes.transfer import unfreeze

MOST_MEMBERS = 20  # of an ensemble: long before, one more changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a training run as given; None where nothing was said. Names as in Recipe.

    ``size`` is the side of the model's input in pixels. ``arguments`` go to the model's builder (depth, width, …).
    ``features`` are what a classic model sees of an image (``visto.models.features``). ``read_as`` is "rows" where an
    image is to be read row by row.
    ``start_from`` is the manifest digest of the bundle that is fine-tuned. ``prepare`` has steps of
    ``visto.preprocess.STEPS``. ``scratch`` leaves pretrained weights out, ``download`` allows to fetch them;
    ``unfreeze`` says how many of a backbone's last stages learn. ``ensemble`` is how many models make one;
    ``learning_curve`` asks what more images would buy. ``tune`` has settings chosen: those that ``search`` names, in at
    most so many ``trials``. Of a series to foretell, ``window`` steps are looked at, and the ``horizon`` next foretold.
    Raises UsageError for an ensemble of fewer than 2 or over 20.
    """

    model: str | None = None
    size: int | None = None
    arguments: Mapping[str, Any] | None = None
    features: Sequence[str] | None = None
    read_as: str | None = None
    start_from: str | None = None
    epochs: float | None = None
    batch_size: int | None = None
    optimiser: str | None = None
    lr: float | None = None
    schedule: str | None = None
    weight_decay: float | None = None
    l1: float | None = None
    ema: float | None = None
    label_smoothing: float | None = None
    mixup: float | None = None
    augmentation: Sequence[str] | None = None
    patience: int | None = None
    budget: float | None = None
    precision: str | None = None
    device: str | None = None
    second_look: float | None = None
    prepare: Sequence[str] | None = None
    scratch: bool | None = None
    unfreeze: int | None = None
    download: bool | None = None
    views: int | None = None
    lr_decay: float | None = None
    balance: str | None = None
    repeats: int | None = None
    seed: int | None = None
    split_seed: int | None = None
    ensemble: int | None = None
    learning_curve: bool | None = None
    tune: bool | None = None
    search: Sequence[str] | None = None
    trials: int | None = None
    window: int | None = None
    horizon: int | None = None

    def __post_init__(self) -> None:
        if self.ensemble is not None and not 2 <= self.ensemble <= MOST_MEMBERS:
            raise UsageError(f"an ensemble of {self.ensemble}", expected=f"2 to {MOST_MEMBERS} models")

    def given(self) -> dict[str, Any]:
        """What was said, as JSON values."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v
            for k, v in found.items()
            if v is not None and k != "download"
        }


_NOT_IN_RECIPE = {
    "model",
    "size",
    "arguments",
    "features",
    "read_as",
    "start_from",
    "split_seed",
    "prepare",
    "scratch",
    "unfreeze",
    "ensemble",
    "learning_curve",
    "tune",
    "search",
    "trials",
    "window",
    "horizon",
}
# what has a meaning for a model that is fitted at once
_FOR_CLASSIC = {
    "model",
    "size",
    "arguments",
    "features",
    "split_seed",
    "prepare",
    "learning_curve",
    "balance",
    "budget",
    "seed",
    "device",
}
_FOR_CLOSED_FORM = {"model", "window", "horizon", "budget", "seed"}
_NOT_IN_STAGES = {"budget", "features"}
_FEWEST = 8  # regions in a batch: a quarter of them are on things
_DECIDE_WHAT_IS_READ = {
    "start_from": "--from",
    "split_seed": "--split-seed",
    "window": "--window",
    "horizon": "--horizon",
}
_AT_ANY_TIME = {"learning_curve"}  # may be asked of a run that was started without


def apply(recipe: Recipe, request: Request) -> Recipe:
    """The recipe with what was asked for in place of its own. Raises UsageError for values out of range."""
    given = request.given()
    if recipe.learner == "classic":
        _check_classic(recipe, given)
    elif recipe.learner == "staged":
        _check_staged(recipe, given)
    elif recipe.learner == "closed_form":
        _check_at_once(recipe, given, _FOR_CLOSED_FORM)
    elif request.features is not None:
        raise UsageError(
            f"--features with the model {recipe.model.name}, which finds its own",
            hint="choose a classic model, such as --model svm",
        )
    spec = recipe.model.with_arguments(**given.get("arguments", {}))
    changes = {k: v for k, v in given.items() if k not in _NOT_IN_RECIPE}
    if "augmentation" in changes:
        changes["augmentation"] = tuple(changes["augmentation"])
    learnt_before = recipe.pretrained or request.start_from is not None
    if request.unfreeze is not None and not learnt_before:
        raise UsageError("--unfreeze without pretrained weights: what is frozen would never have learnt")
    if recipe.learner != "transfer" and (request.views is not None or request.lr_decay is not None):
        raise UsageError("--views and --lr-decay belong to a pretrained model", hint="leave them out")
    if request.unfreeze is not None:
        recipe = unfreeze(recipe, request.unfreeze)
    if recipe.least_errors and (request.epochs is not None or request.lr is not None):
        changes["least_errors"] = 0  # who asks for epochs or a rate wants them used
    return replace(recipe, model=spec, **changes)


def _check_classic(recipe: Recipe, given: Mapping[str, Any]) -> None:
    name = recipe.model.name
    _check_at_once(recipe, given, _FOR_CLASSIC)
    balance = given.get("balance", "none")
    if balance not in ("none", "weights") or (balance == "weights" and name in ("knn", "majority")):
        raise UsageError(
            f"--balance {balance} with the model {name}",
            expected="none, or weights with logistic, svm, tree and forest",
        )
    if given.get("device", "cpu") != "cpu":
        raise UsageError(f"--device {given['device']} with the model {name}", hint="it is fitted on the processor")


def _check_at_once(recipe: Recipe, given: Mapping[str, Any], suited: set[str]) -> None:
    if odd := [option for option in given if option not in suited]:
        option = "set" if odd[0] == "arguments" else odd[0].replace("_", "-")
        raise UsageError(f"--{option} with the model {recipe.model.name}, which is fitted at once", hint="leave it out")


def _check_staged(recipe: Recipe, given: Mapping[str, Any]) -> None:
    if odd := [option for option in given if option in _NOT_IN_STAGES]:
        raise UsageError(f"--{odd[0]} with the model {recipe.model.name}, which learns in stages", hint="leave it out")
    name = recipe.model.name
    if odd := [name for name in given.get("augmentation", ()) if name != "flip"]:
        raise UsageError(f"--augment {odd[0]} with the model {name}", expected="flip, or none")
    if given.get("device", "cpu") != "cpu":
        raise UsageError(f"--device {given['device']} with the model {name}", expected="cpu")
    if given.get("batch_size", _FEWEST) < _FEWEST:
        raise UsageError(f"--batch-size {given['batch_size']} with the model {name}", expected=f"{_FEWEST} or more")


def check_same(stored: Mapping[str, Any], request: Request) -> None:
    """Raise UsageError where a resumed run is asked for something else than it was started with.

    Options may be left out, but for those that decide what is read: the parent, the split, and how a series is cut.
    """
    if bool(stored.get("tune")) != bool(request.tune):
        verb = "tune" if stored.get("tune") else "train"
        raise UsageError(f"this run was started by visto {verb}", hint=f"go on with it by visto {verb}")
    for name, option in _DECIDE_WHAT_IS_READ.items():
        if name in stored and name not in request.given():
            raise UsageError(f"this run was started with {option}", hint="give it again beside --resume")
    for name, value in request.given().items():
        if stored.get(name) != value and name not in _AT_ANY_TIME:
            was = stored.get(name, "not given")
            raise UsageError(
                f"this run was started with {name.replace('_', '-')} {was}, not {value}",
                hint="resume it with the options it had (or none), or start another with another -o",
            )
