"""What may be chosen: the settings of a recipe that are searched, the values each may take, a recipe with others.

A setting is searched where the recipe has it: a kernel size only where the model's builder takes one. The value of the
default recipe is always among those that may be drawn, since it is the first to be tried.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visto.errors import UsageError
from visto.learn import Recipe
from visto.models import MODELS, build_model
from visto.models.activations import ACTIVATIONS
from visto.models.backbone import Backbone
from visto.recipes import Request
from visto.recipes.transfer import unfreeze
from visto.tasks import names_one_class

Value = float | int | str

_LISTS = ("hidden", "widths")  # arguments that hold depth and width in one: the units of each layer
_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting by the name that ``--search`` takes: one of ``options``, or (none) any number from ``low`` to ``high``.

    Such numbers are drawn by their logarithm. ``default`` is what the default recipe has.
    """

    name: str
    default: Value
    options: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """How a setting is read from a recipe (None: it has none) and laid over one; what else it may be.

    ``asked`` has the names by which a request or the arguments of a model fix it. Without ``others`` it is a number
    that may be up to ``times`` as large or small.
    """

    read: Callable[[Recipe], Value | None]
    laid: Callable[[Recipe, Any], Recipe]
    others: Callable[[Recipe, Any], Sequence[Value]] | None = None
    asked: Sequence[str] = ()
    times: float = 10.0


def choices_of(recipe: Recipe, request: Request) -> tuple[Choice, ...]:
    """What is searched: all that the recipe has and nobody has fixed, or what ``request.search`` names.

    Raises UsageError for a name that this model does not have, and for a model that has nothing to choose.
    """
    have = {name: value for name, s in _SETTINGS.items() if (value := s.read(recipe)) is not None}
    if recipe.learner not in ("gradient", "transfer") or not have:
        raise UsageError(
            f"the model {recipe.model.name} has nothing that visto tune could choose",
            expected="a model that learns by gradient, such as mlp, cnn or resnet",
            hint="train it with visto train",
        )
    given = request.given()
    fixed = {*given, *given.get("arguments", {})}
    names = [name for name in have if not fixed & {name, *_SETTINGS[name].asked}]
    if request.search:
        names = [_ALIASES.get(name, name) for name in request.search]
        if unknown := [name for name in names if name not in have]:
            raise UsageError(
                f"--search {', '.join(unknown)}: the model {recipe.model.name} has no such choice",
                expected=f"some of {', '.join(have)}",
            )
    if not names:
        raise UsageError("every choice is fixed already", hint="leave an option out, or name what to --search")
    return tuple(_choice(name, have[name], recipe) for name in dict.fromkeys(names))


def _choice(name: str, default: Value, recipe: Recipe) -> Choice:
    setting = _SETTINGS[name]
    if setting.others is None:
        value = float(default)
        return Choice(name=name, default=value, low=value / setting.times, high=value * setting.times)
    options = {default, *setting.others(recipe, default)}
    if any(isinstance(each, str) for each in options):
        return Choice(name=name, default=default, options=(default, *sorted(map(str, options - {default}))))
    return Choice(name=name, default=default, options=tuple(sorted(options, key=float)))


def with_values(recipe: Recipe, values: Mapping[str, Value]) -> Recipe:
    """The recipe with these values in place of its own; those that it has already change nothing."""
    for name, value in values.items():
        if _SETTINGS[name].read(recipe) != value:
            recipe = _SETTINGS[name].laid(recipe, value)
    return recipe


def as_options(default: Recipe, chosen: Recipe) -> str:
    """What to add to ``visto train`` for the one recipe instead of the other.

    Epochs are left out where both have as many.
    """
    words = []
    for name in ("epochs", "lr", "weight_decay", "l1", "label_smoothing"):
        if getattr(default, name) != getattr(chosen, name):
            words.append(f"--{name.replace('_', '-')} {getattr(chosen, name):.4g}")
    if tuple(default.augmentation) != tuple(chosen.augmentation):
        words.append(f"--augment {','.join(chosen.augmentation) or _NONE}")
    if default.frozen != chosen.frozen:
        words.append(f"--unfreeze {_unfrozen(chosen)}")
    before = default.model.arguments
    for name, value in chosen.model.arguments.items():
        if name not in before or before[name] != value:
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            words.append(f"--set {name}={text}")
    return " ".join(words)


# of the model


def _argument(recipe: Recipe, name: str) -> Any:
    """What the model's builder is called with, or would take by itself; None where it takes no such argument."""
    parameter = inspect.signature(MODELS[recipe.model.name]).parameters.get(name)
    if parameter is None:
        return None
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    return recipe.model.arguments.get(name, default)


def _layers(recipe: Recipe) -> tuple[str, list[int]] | None:
    """The name of the argument that lists the units of each layer, and the list."""
    found = ((name, _argument(recipe, name)) for name in _LISTS)
    return next(((name, list(units)) for name, units in found if units), None)


def _with(recipe: Recipe, **arguments: Any) -> Recipe:
    return replace(recipe, model=recipe.model.with_arguments(**arguments))


def _depth(recipe: Recipe) -> Value | None:
    layers = _layers(recipe)
    depth: int | None = len(layers[1]) if layers else _argument(recipe, "depth")
    return depth


def _with_depth(recipe: Recipe, depth: int) -> Recipe:
    layers = _layers(recipe)
    if layers is None:
        return _with(recipe, depth=depth)
    name, units = layers
    return _with(recipe, **{name: (units + [units[-1]] * depth)[:depth]})


def _width(recipe: Recipe) -> Value | None:
    layers = _layers(recipe)
    width: int | None = layers[1][0] if layers else _argument(recipe, "width")
    return width


def _with_width(recipe: Recipe, width: int) -> Recipe:
    """Where the units of each layer are listed, all of them in proportion to the first."""
    layers = _layers(recipe)
    if layers is None:
        return _with(recipe, width=width)
    name, units = layers
    return _with(recipe, **{name: [max(1, round(each * width / units[0])) for each in units]})


# of learning


def _rate(recipe: Recipe) -> Value | None:
    return recipe.lr or None  # 0: by a range test


def _used(recipe: Recipe, **changes: Any) -> Recipe:
    """As ``--lr`` and ``--epochs`` do: who asks for them wants them used, few errors or not."""
    return replace(recipe, **changes, least_errors=0)


def _decay(name: str) -> Callable[[Recipe], Value | None]:
    # muon keeps its filters at unit size: nothing is left to decay
    return lambda recipe: None if recipe.optimiser == "muon" else getattr(recipe, name)


def _smoothing(recipe: Recipe) -> Value | None:
    return recipe.label_smoothing if names_one_class(recipe.task) else None


def _augmentation(recipe: Recipe) -> Value | None:
    return "+".join(recipe.augmentation) or _NONE


def _with_augmentation(recipe: Recipe, names: str) -> Recipe:
    chosen = () if names == _NONE else tuple(names.split("+"))
    # views of frozen stages differ by their augmentation alone
    views = 0 if recipe.learner == "transfer" and not chosen else recipe.views
    return replace(recipe, augmentation=chosen, views=views)


def _augmentations(recipe: Recipe, default: Value) -> list[Value]:
    move = next((name for name in ("zoom", "shift") if name in recipe.augmentation), "crop")
    return [_NONE, move, f"flip+{move}", f"{move}+erase"]


def _epochs(recipe: Recipe) -> Value | None:
    return recipe.epochs if recipe.learner == "transfer" else None


def _unfrozen(recipe: Recipe) -> Value | None:
    if recipe.learner != "transfer":
        return None
    model = build_model(recipe.model)
    return len(model.stages) - recipe.frozen if isinstance(model, Backbone) else None


_SETTINGS: dict[str, _Setting] = {
    "lr": _Setting(read=_rate, laid=lambda recipe, value: _used(recipe, lr=value)),
    "weight_decay": _Setting(
        read=_decay("weight_decay"),
        laid=lambda recipe, value: replace(recipe, weight_decay=value),
        others=lambda recipe, default: (0.0, 0.005, 0.05, 0.5),
    ),
    "l1": _Setting(
        read=_decay("l1"),
        laid=lambda recipe, value: replace(recipe, l1=value),
        others=lambda recipe, default: (0.0, 1e-6, 1e-5, 1e-4),
    ),
    "label_smoothing": _Setting(
        read=_smoothing,
        laid=lambda recipe, value: replace(recipe, label_smoothing=value),
        others=lambda recipe, default: (0.0, 0.05, 0.1, 0.2),
    ),
    "dropout": _Setting(
        read=lambda recipe: _argument(recipe, "dropout"),
        laid=lambda recipe, value: _with(recipe, dropout=value),
        others=lambda recipe, default: (0.0, 0.1, 0.2, 0.4),
    ),
    "augment": _Setting(
        read=_augmentation, laid=_with_augmentation, others=_augmentations, asked=("augmentation", "views")
    ),
    "kernel": _Setting(
        read=lambda recipe: _argument(recipe, "kernel_size"),
        laid=lambda recipe, value: _with(recipe, kernel_size=value),
        others=lambda recipe, default: (3, 5, 7),
        asked=("kernel_size",),
    ),
    "activation": _Setting(
        read=lambda recipe: _argument(recipe, "activation"),
        laid=lambda recipe, value: _with(recipe, activation=value),
        others=lambda recipe, default: tuple(ACTIVATIONS),
    ),
    "depth": _Setting(
        read=_depth,
        laid=_with_depth,
        others=lambda recipe, default: (max(1, default - 1), default + 1),
        asked=_LISTS,
    ),
    "width": _Setting(
        read=_width,
        laid=_with_width,
        others=lambda recipe, default: (max(1, default // 2), 2 * default),
        asked=_LISTS,
    ),
    "epochs": _Setting(
        read=_epochs,
        laid=lambda recipe, value: _used(recipe, epochs=value),
        others=lambda recipe, default: (max(1.0, default / 2), 2.0 * default),
    ),
    "unfreeze": _Setting(
        read=_unfrozen,
        laid=unfreeze,
        others=lambda recipe, default: (0, default // 2),
    ),
}
_ALIASES = {"kernel_size": "kernel", "augmentation": "augment", "smoothing": "label_smoothing", "l2": "weight_decay"}
