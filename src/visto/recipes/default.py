"""The recipe that Visto takes where nobody says otherwise, chosen by what the data is like."""

from collections.abc import Mapping, Sequence
from typing import Any

from visto.data.facts import Facts
from visto.learn import Recipe
from visto.models.weights import WEIGHTS, find
from visto.spec import Spec
from visto.types import Size

_SMALL = 64  # pixels a side: below, images are taken at their own size
_LARGE = 96  # pixels a side that larger ones are brought to
_SQUARE, _LONGEST = 1.15, 1.6  # of a side to the other: up to the first nearly square, beyond the second too long to be
_MANY = 10_000  # images from which on a few passes are enough to learn from nothing
_BACKBONE = "efficientnet_lite0"
_SEEN = 416  # pixels of the longer side of what a detector sees


def are_photos(facts: Facts) -> bool:
    """Whether the images are larger than digits, icons and thumbnails are."""
    return max(facts.typical.height, facts.typical.width) > _SMALL


def default_size(facts: Facts) -> tuple[Size, str]:
    """The input size of a model that is trained from scratch, and why."""
    side = max(facts.typical.height, facts.typical.width)
    if not are_photos(facts) and facts.uniform:
        return facts.typical, "the images' own size"
    side = max(8, min(_LARGE, side))
    return Size(height=side, width=side), "a size that a CPU trains in minutes"


def detector_size(facts: Facts, side: int | None) -> tuple[Size, str]:
    """The input size of a detector: the shape of the typical image, its longer side ``side`` (None: at most 416).

    In steps of 32 pixels, upwards: at 416 pixels, 640×480 comes to fill 416×312 of 416×320.
    """
    tall, wide = facts.typical.height, facts.typical.width
    longest = side or min(_SEEN, max(64, max(tall, wide)))
    sides = [max(32, -(-round(longest * s / max(tall, wide)) // 32) * 32) for s in (tall, wide)]
    why = "as asked, in steps of 32" if side else "the shape of the typical image"
    return Size(height=sides[0], width=sides[1]), why


def default_model(facts: Facts, *, images: int, one_class: bool = True, scratch: bool = False) -> tuple[str, str]:
    """The model's name for so many images, and why; with ``scratch`` one that needs no pretrained weights.

    ``one_class``: each image has one of the classes, not several labels.
    """
    if not scratch and are_photos(facts) and find(_BACKBONE) is not None:
        return (
            _BACKBONE,
            f"the images are photos: what it learnt on {WEIGHTS[_BACKBONE].learnt_on} saves most of the work",
        )
    if not are_photos(facts) and images >= _MANY and one_class:
        return "speedrun", f"small images, {_MANY:,} or more of them"
    if facts.channels == 1:
        return "cnn", "the images are grey"
    return "resnet", "the images are in colour"


def pretrained_sizes(facts: Facts, name: str) -> tuple[list[Size], str]:
    """Input sizes worth trying for a pretrained model, and the words for them: undistorted images, their middle taken.

    The square that it was pretrained on, and the shape of the typical image at the same area, in steps of 32 pixels.
    Very long images have nothing to say in a square; beyond 3 to 1 their ends are cut all the same.
    """
    side = WEIGHTS[name].size
    ratio = min(3.0, max(1 / 3, facts.typical.width / facts.typical.height))
    typical = Size(height=_in_steps(side / ratio**0.5), width=_in_steps(side * ratio**0.5))
    square = Size(height=side, width=side)
    if max(ratio, 1 / ratio) < _SQUARE or typical == square:
        return [square], "as it was pretrained"
    if max(ratio, 1 / ratio) > _LONGEST:
        return [typical], "the shape of the typical image"
    return [square, typical], ""


def _in_steps(side: float) -> int:
    return max(64, 32 * round(side / 32))


def suggest(
    *,
    model: str,
    images: int,
    classes: int,
    fit: Mapping[str, Any],
    mean: Sequence[float],
    std: Sequence[float],
    task: str = "classification",
) -> Recipe:
    """The default recipe for ``images`` training images, from scratch; ``fit`` has the arguments of ``preprocess.Fit``.

    About 900,000 looks at an image in all, but 60 epochs at most and 10 at least. Grey images are not mirrored:
    digits, letters and X-rays (the heart is on the left) change their meaning; colour photos seldom do. No label
    smoothing: it flattens the scores of sure and unsure answers alike, which spoils their order (AUROC on
    PneumoniaMNIST 0.90 with it, 0.97 without).
    """
    channels = fit["channels"]
    return Recipe(
        task=task,
        model=Spec(name=model, arguments={"classes": classes, "channels": channels, "size": fit["size"]}),
        preprocess=Spec(
            name="standard",
            arguments={**fit, "mean": [round(m, 5) for m in mean], "std": [round(s, 5) for s in std]},
        ),
        epochs=max(10, min(60, round(900_000 / max(1, images)))),
        batch_size=_batch_size(images),
        lr=2e-3 if model == "mlp" else 6e-3,
        augmentation=("crop",) if channels == 1 else ("flip", "crop"),
    )


def _batch_size(images: int) -> int:
    """A power of two from 16 to 256 that makes at least 20 steps an epoch."""
    size = 256
    while size > 16 and images / size < 20:
        size //= 2
    return size
