"""The steps that prepare an image before a model sees it: the table of them, and how they are written.

A step is a name with values, ``name[=value[:value…]]``; several are divided by commas and applied in order:
``gray,clahe,gamma=0.8,canny=50:100``. Values left out at the end take their defaults. The canonical text of a step
names every value (``clahe=2:8``), so that a stored one means the same when a default changes.
"""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from visto.errors import UsageError
from visto.ops.canny import canny
from visto.ops.clahe import clahe
from visto.ops.colour import gray, gray_world, saturation, white_patch
from visto.ops.edges import sobel
from visto.ops.equalize import equalize
from visto.ops.median import median
from visto.ops.smooth import blur, sharpen
from visto.ops.threshold import adaptive, otsu
from visto.ops.tone import brightness, contrast, gamma

PIXELS_VERSION = 1
"""Raised when a step comes to give other pixels for the same text: part of the cache's key."""

Value = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that a step takes, from ``low`` to ``high``; without a ``default`` it must be given."""

    name: str
    low: Value
    high: Value
    about: str
    default: Value | None = None
    whole: bool = False
    odd: bool = False

    @property
    def range(self) -> str:
        kind = "odd, " if self.odd else "whole, " if self.whole else ""
        return f"{kind}{_written(self.low)} to {_written(self.high)}"

    def to_json(self) -> dict[str, object]:
        values = {"default": self.default, "low": self.low, "high": self.high}
        return {**values, "whole": self.whole or self.odd, "odd": self.odd, "about": self.about}

    def read(self, text: str) -> Value:
        """The value in a text. Raises ValueError for what is no number, or outside the range."""
        value = float(text)
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError(text)
        if not (self.whole or self.odd):
            return value
        if value != int(value) or (self.odd and int(value) % 2 == 0):
            raise ValueError(text)
        return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a name in the table stands for: a function of images N×C×H×W and the values of the parameters.

    ``removes_colour`` and ``least_side`` (the smallest height and width, in pixels, that it can treat) are functions
    of the values; ``refuses`` says what is wrong with them together, or "".
    """

    about: str
    apply: Callable[..., Tensor]
    parameters: tuple[Parameter, ...] = ()
    removes_colour: Callable[..., bool] = lambda *values: False
    least_side: Callable[..., int] = lambda *values: 1
    refuses: Callable[..., str] = lambda *values: ""

    def __call__(self, images_nchw: Tensor, *values: Value) -> Tensor:
        return self.apply(images_nchw, *values)

    def to_json(self) -> dict[str, object]:
        return {"about": self.about, "parameters": {each.name: each.to_json() for each in self.parameters}}


def _always(*values: Value) -> bool:
    return True


def _factor(about: str, *, low: Value = 0, high: Value = 10) -> tuple[Parameter, ...]:
    return (Parameter(name="factor", low=low, high=high, about=about),)


_SIGMA = Parameter(name="sigma", default=1.0, low=0.1, high=20, about="width of the Gaussian in pixels")

STEPS: dict[str, Kind] = {
    "brightness": Kind(
        about="every pixel times a factor",
        apply=brightness,
        parameters=_factor("below 1 darkens, above 1 brightens"),
    ),
    "contrast": Kind(
        about="distance from the mean luminance times a factor",
        apply=contrast,
        parameters=_factor("below 1 flattens, above 1 strengthens"),
    ),
    "gamma": Kind(
        about="every pixel, as a share of 255, to a power",
        apply=gamma,
        parameters=(Parameter(name="exponent", low=0.1, high=10, about="below 1 lights up the shadows"),),
    ),
    "saturation": Kind(
        about="distance of the colours from grey times a factor",
        apply=saturation,
        parameters=_factor("0 leaves no colour, above 1 strengthens it"),
        removes_colour=lambda factor: bool(factor == 0),
    ),
    "gray-world": Kind(about="balance the colours so that the mean is grey", apply=gray_world),
    "white-patch": Kind(
        about="balance the colours so that the brightest patch is grey",
        apply=white_patch,
        parameters=(
            Parameter(name="percentile", default=99.0, low=50, high=100, about="which pixels count as brightest"),
        ),
    ),
    "gray": Kind(about="luminance, without colour", apply=gray, removes_colour=_always),
    "equalize": Kind(about="equalise the histogram of the luminance", apply=equalize),
    "clahe": Kind(
        about="equalise the luminance tile by tile, with a limit: local contrast",
        apply=clahe,
        parameters=(
            Parameter(name="clip", default=2.0, low=1, high=100, about="the limit, in mean bins of the histogram"),
            Parameter(name="tiles", default=8, low=1, high=64, whole=True, about="tiles along each side"),
        ),
        least_side=lambda clip, tiles: 2 * int(tiles),
    ),
    "blur": Kind(about="smooth with a Gaussian", apply=blur, parameters=(_SIGMA,)),
    "median": Kind(
        about="median of the window around each pixel: removes specks, keeps edges",
        apply=median,
        parameters=(Parameter(name="size", default=3, low=3, high=15, odd=True, about="side of the window in pixels"),),
        least_side=lambda size: int(size),
    ),
    "sharpen": Kind(
        about="add what a Gaussian takes away (unsharp mask)",
        apply=sharpen,
        parameters=(Parameter(name="amount", default=1.0, low=0, high=10, about="how often to add it"), _SIGMA),
    ),
    "otsu": Kind(about="black and white, divided where the two sides differ most", apply=otsu, removes_colour=_always),
    "adaptive": Kind(
        about="black and white, divided by the mean around each pixel: for uneven light",
        apply=adaptive,
        parameters=(
            Parameter(name="size", default=15, low=3, high=255, odd=True, about="side of the window in pixels"),
            Parameter(name="offset", default=5.0, low=-255, high=255, about="grey levels to take off the mean"),
        ),
        removes_colour=_always,
        least_side=lambda size, offset: int(size),
    ),
    "sobel": Kind(about="how steep the luminance is at each pixel", apply=sobel, removes_colour=_always),
    "canny": Kind(
        about="thin lines where the luminance is steepest",
        apply=canny,
        parameters=(
            Parameter(name="low", default=50.0, low=1, high=1442, about="gradient that continues a line"),
            Parameter(name="high", default=100.0, low=1, high=1442, about="gradient that starts a line"),
            _SIGMA,
        ),
        removes_colour=_always,
        refuses=lambda low, high, sigma: "low is above high" if low > high else "",
    ),
}
"""Every step by its name."""

_ALSO = {"grey": "gray", "grey-world": "gray-world", "equalise": "equalize"}


@dataclass(frozen=True, slots=True)
class Step:
    """A step with all its values. ``str`` gives the canonical text."""

    name: str
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        return self.name + ("=" if self.values else "") + ":".join(map(_written, self.values))

    def __call__(self, images_nchw: Tensor) -> Tensor:
        return STEPS[self.name](images_nchw, *self.values)

    @property
    def removes_colour(self) -> bool:
        return STEPS[self.name].removes_colour(*self.values)

    @property
    def least_side(self) -> int:
        return STEPS[self.name].least_side(*self.values)


def parse(prepare: str | Sequence[str]) -> tuple[Step, ...]:
    """The steps in a text, or in texts of one or more steps each. Raises UsageError for what cannot be understood.

    >>> [str(step) for step in parse("gray, clahe, canny=60:120")]
    ['gray', 'clahe=2:8', 'canny=60:120:1']
    """
    texts: object = [prepare] if isinstance(prepare, str) else prepare  # it may come from a file
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"steps {texts!r}", expected="texts, such as gray or clahe=2:8")
    return tuple(_step(part.strip()) for text in texts for part in text.split(","))


def canonical(prepare: str | Sequence[str]) -> list[str]:
    """The steps as they are stored: one text a step, every value named. Raises UsageError.

    >>> canonical("gray,gamma=.80")
    ['gray', 'gamma=0.8']
    """
    return [str(step) for step in parse(prepare)]


def is_colourless(prepare: str | Sequence[str]) -> bool:
    """Whether no colour is left after all the steps (none of them brings any back). Raises UsageError.

    >>> is_colourless(["gray", "clahe"]), is_colourless(["clahe"]), is_colourless([])
    (True, False, False)
    """
    return any(step.removes_colour for step in parse(prepare))


def apply(images_nchw: Tensor, steps: Sequence[Step]) -> Tensor:
    """The uint8 images N×C×H×W (C is 1 or 3), all steps one after the other: the same shape.

    Each image is on its own; the input is not changed (with no steps it is given back). Raises DataError where a step
    cannot treat one of them; which one can be found by giving them singly.
    """
    images = images_nchw
    for step in steps:
        images = step(images)
        if step.removes_colour:
            images = images[:, :1]  # the others are equal, and stay so: a third of the work
    return images.expand_as(images_nchw).contiguous() if images.shape != images_nchw.shape else images


def signature(name: str) -> str:
    """How a step is written: ``clahe=clip:tiles``."""
    return name + "=" * bool(STEPS[name].parameters) + ":".join(each.name for each in STEPS[name].parameters)


def _step(text: str) -> Step:
    name, equals, rest = text.partition("=")
    name = _ALSO.get(name.strip(), name.strip())
    if name not in STEPS:
        near = difflib.get_close_matches(name, STEPS, n=1)
        raise UsageError(
            f"no step {name!r}" if name else f"a step without a name: {text!r}",
            expected=f"some of {', '.join(STEPS)}, divided by commas",
            hint=f"did you mean {near[0]}?" if near else "visto prepare --list says what each does",
        )
    kind = STEPS[name]
    texts = rest.split(":") if equals else []
    if len(texts) > len(kind.parameters):
        takes = signature(name) if kind.parameters else f"{name} alone: it takes no values"
        raise UsageError(f"step {text!r} has too many values", expected=takes)
    values = []
    for place, parameter in enumerate(kind.parameters):
        values.append(_value(text, name, parameter, texts[place].strip() if place < len(texts) else None))
    complaint = kind.refuses(*values)
    if complaint:
        raise UsageError(f"step {text!r}: {complaint}", expected=signature(name))
    return Step(name, tuple(values))


def _value(text: str, name: str, parameter: Parameter, given: str | None) -> Value:
    expected = f"{signature(name)}, {parameter.name} {parameter.range}: {parameter.about}"
    if given is None:
        if parameter.default is None:
            raise UsageError(f"step {text!r} needs a value", expected=expected)
        return parameter.default
    try:
        return parameter.read(given)
    except ValueError as error:
        raise UsageError(f"step {text!r}: {parameter.name} is {given!r}", expected=expected) from error


def _written(value: Value) -> str:
    """The shortest text that reads as the same number.

    >>> _written(2.0), _written(0.1), _written(15)
    ('2', '0.1', '15')
    """
    return str(int(value)) if value == int(value) else repr(value)
