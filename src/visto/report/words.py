"""Numbers and names as a person reads them, and one plain line on what each figure means."""

import math
import re
from dataclasses import dataclass

from visto.quantities import plural
from visto.types import Figure

NBSP = "\N{NO-BREAK SPACE}"
NAME_LIMIT = 80


def shown(text: str, limit: int = NAME_LIMIT) -> str:
    """One line of at most ``limit`` characters: names of files and classes may hold anything, of any length.

    What cannot be printed (newlines, half a code point, marks that turn the direction of writing) is spelt out; what is
    too long loses its middle.

    >>> shown("a\\nb"), shown("abcdefghij", 5)
    ('a\\\\nb', 'ab…ij')
    """
    text = "".join(c if c.isprintable() or c in (" ", NBSP) else ascii(c)[1:-1] for c in text[: 4 * limit + 4])
    if len(text) <= limit:
        return text
    head = limit // 2
    return text[:head] + "…" + text[len(text) - (limit - head - 1) :]


def counted(number: int, thing: str, things: str = "") -> str:
    """
    >>> counted(1, "image"), counted(1234, "class", "classes"), counted(2, "series")
    ('1\\xa0image', '1,234\\xa0classes', '2\\xa0series')
    """
    return f"{number:,}{NBSP}{thing if number == 1 else things or plural(thing)}"


def spoken_of(noun: str, words: str) -> str:
    """Words on images, as words on what ``noun`` calls them.

    >>> spoken_of("clip", "How often an image scores above other images.")
    'How often a clip scores above other clips.'
    """
    if noun == "image":
        return words
    return words.replace("an image", f"a {noun}").replace("images", plural(noun)).replace("image", noun)


def percent(share: float) -> str:
    """A share of 0–1 with one digit, or two near its ends: never 100 % of what is less.

    >>> [percent(v).replace(NBSP, " ") for v in (0, 0.0004, 0.5, 0.9812, 0.99962, 0.999999, 1)]
    ['0 %', '0.04 %', '50.0 %', '98.1 %', '99.96 %', 'over 99.99 %', '100 %']
    """
    return _bare(share) + NBSP + "%"


def _bare(share: float) -> str:
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f}"
    if 99.99 < value < 100:
        return "over 99.99"
    if 0 < value < 0.01:
        return "under 0.01"
    return f"{value:.2f}" if 0 < value < 0.1 or 99.9 < value < 100 else f"{value:.1f}"


def decimal(value: float) -> str:
    """Three digits, or four just below 1: never 1 for what is less.

    >>> decimal(0.9812), decimal(0.99967), decimal(0.999999), decimal(1.0)
    ('0.981', '0.9996', '0.9999', '1.000')
    """
    return f"{math.floor(10_000 * value) / 10_000:.4f}" if 0.9995 <= value < 1 else f"{value:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a figure is called and means. ``share``: a part of 1, said in per cent; ``better``: high, low or "".
    ``own_unit``: it may be of any size."""

    title: str
    meaning: str = ""
    share: bool = True
    better: str = "high"
    own_unit: bool = False


_KINDS = {
    "mse": Kind(
        title="Mean squared error",
        meaning="How far off it is, squared, over all steps ahead; of several columns in units of their deviation.",
        share=False,
        better="low",
        own_unit=True,
    ),
    "mae": Kind(title="Mean absolute error", meaning="How far off it is.", share=False, better="low", own_unit=True),
    "rmse": Kind(
        title="Root of the mean squared error",
        meaning="In the unit of the series, large errors counting more.",
        share=False,
        better="low",
        own_unit=True,
    ),
    "gain_over_naive": Kind(
        title="Gain over the last value again",
        meaning="By which part its mean squared error is lower than if nothing changed; below 0 it is worse.",
    ),
    "gain_over_linear": Kind(
        title="Gain over a linear forecast",
        meaning="By which part its mean squared error is lower than that of a linear function of the same steps.",
    ),
    "coverage": Kind(title="Coverage", meaning="How often the truth lies in its bounds, which promise 90 %."),
    "accuracy": Kind(title="Accuracy", meaning="Of all images, the part that is answered right."),
    "balanced_accuracy": Kind(
        title="Balanced accuracy", meaning="The same with every class counting alike, however few its images."
    ),
    "exact_match": Kind(title="Exact match", meaning="Of all images, the part with every class right and none missed."),
    "hamming_accuracy": Kind(
        title="Accuracy of decisions",
        meaning="Of all yes-or-no decisions, one a class and image, the part that is right; high for rare classes.",
    ),
    "precision": Kind(title="Precision", meaning="When it names a class, how often that is so; mean over the classes."),
    "recall": Kind(title="Recall", meaning="Of the images of a class, the part it finds; mean over the classes."),
    "f1": Kind(title="F1", meaning="Precision and recall in one, low where either is low; mean over the classes."),
    "micro_f1": Kind(title="F1 of all decisions", meaning="F1 with the decisions of all classes in one pot."),
    "kappa": Kind(
        title="Kappa", meaning="Agreement with the truth beyond chance; 0 is chance, 1 is always right.", share=False
    ),
    "auroc": Kind(
        title="AUROC",
        meaning="How often an image of a class scores above one that is not; 0.5 is chance, 1 is always.",
        share=False,
    ),
    "average_precision": Kind(
        title="Average precision",
        meaning="With the surest images first, how pure a class stays down the list; 1 is wholly.",
        share=False,
    ),
    "mean_average_precision": Kind(
        title="Mean average precision",
        meaning="With the surest images first, how pure each class stays down the list; 1 is wholly.",
        share=False,
    ),
    "map": Kind(
        title="mAP",
        meaning="How many things it finds, how rarely it is wrong, how well its boxes fit, in one: mean average "
        "precision over the classes and over IoU 0.5 to 0.95 (IoU: how far two boxes cover each other); 1 is perfect.",
        share=False,
    ),
    "map50": Kind(
        title="mAP at IoU 0.5", meaning="The same where half covered is enough: are things found at all?", share=False
    ),
    "map75": Kind(
        title="mAP at IoU 0.75", meaning="The same where a box has to fit well: are things found exactly?", share=False
    ),
    "map_small": Kind(
        title="mAP of small things", meaning="Of those up to 32×32 pixels of the original image.", share=False
    ),
    "map_medium": Kind(title="mAP of medium things", meaning="Of those from 32×32 to 96×96 pixels.", share=False),
    "map_large": Kind(title="mAP of large things", meaning="Of those from 96×96 pixels.", share=False),
    "log_loss": Kind(
        title="Log-loss",
        meaning="How much the truth surprises its scores; 0 is not at all, less is better.",
        share=False,
        better="low",
    ),
    "ece": Kind(
        title="Calibration error",
        meaning="How far its scores lie from how often it is right; less is better, few images make it read high.",
        better="low",
    ),
}

# what the same names mean where boxes are judged: all boxes in one pot
BOX_MEANINGS = {
    "precision": "Of the boxes it draws, the part that is right: the right class, at IoU 0.5 or more.",
    "recall": "Of the boxes there are, the part it finds.",
    "f1": "Precision and recall in one, low where either is low.",
}


def kind(name: str) -> Kind:
    """What is known of a figure by its name; one that is not known is shown under its own, without a line."""
    if name in _KINDS:
        return _KINDS[name]
    if match := re.fullmatch(r"top(\d+)_accuracy", name):
        return Kind(title=f"Top-{match[1]} accuracy", meaning=f"The true class is among its {match[1]} best answers.")
    return Kind(title=shown(name.replace("_", " ").capitalize()), share=False, better="")


def lowered(title: str) -> str:
    """The title of a figure inside a sentence.

    >>> lowered("Mean average precision"), lowered("F1 of all decisions"), lowered("AUROC")
    ('mean average precision', 'F1 of all decisions', 'AUROC')
    """
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def amount(name: str, value: float) -> str:
    """The value of a figure as its kind is read: 98.1 %, or 0.993."""
    if kind(name.split("/", 1)[0]).share and 0 <= value <= 1:
        return percent(value)
    return f"{value:.4g}" if kind(name.split("/", 1)[0]).own_unit else decimal(value)


def between(low: float, high: float) -> str:
    """
    >>> between(0.8, 0.951).replace(NBSP, " ")
    '80.0 to 95.1 %'
    """
    return f"{_bare(low)} to {percent(high)}"


def rounded_down(value: float) -> str:
    """A threshold with three digits, which what it was taken from still reaches.

    >>> rounded_down(0.1987)
    '0.198'
    """
    return f"{math.floor(1000 * value) / 1000:.3f}"


def interval(name: str, figure: Figure) -> str:
    """
    >>> interval("accuracy", Figure(value=0.9, low=0.8, high=0.951)).replace(NBSP, " ")
    '80.0 to 95.1 %'
    >>> interval("accuracy", Figure(value=0.9))
    ''
    """
    if figure.low is None or figure.high is None:
        return ""
    if kind(name.split("/", 1)[0]).share and figure.low >= 0 and figure.high <= 1:
        return between(figure.low, figure.high)
    if kind(name.split("/", 1)[0]).own_unit:
        return f"{figure.low:.4g} to {figure.high:.4g}"
    return f"{decimal(figure.low)} to {decimal(figure.high)}"


def listed(names: list[str], most: int) -> str:
    """
    >>> listed(["a", "b"], 5), listed(["a", "b", "c"], 2)
    ('a, b', 'a, b and 1 more')
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")
