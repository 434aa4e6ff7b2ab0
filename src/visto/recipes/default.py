"""The recipe that Visto takes where nobody says otherwise, chosen by what the data is like."""

from collections.abc import Sequence

from visto.data.facts import Facts
from visto.learn import Recipe
from visto.spec import Spec
from visto.types import Size

_SMALL = 64  # pixels a side: below, images are taken at their own size
_LARGE = 96  # pixels a side that larger ones are brought to


def default_size(facts: Facts) -> tuple[Size, str]:
    """The model's input size, and why."""
    side = max(facts.typical.height, facts.typical.width)
    if side <= _SMALL and facts.uniform:
        return facts.typical, "the images' own size"
    side = max(8, min(_LARGE, side))
    return Size(height=side, width=side), "a size that a CPU trains in minutes"


def default_model(channels: int) -> tuple[str, str]:
    """The model's name, and why."""
    if channels == 1:
        return "cnn", "the images are grey"
    return "resnet", "the images are in colour"


def suggest(
    *, model: str, images: int, classes: int, channels: int, size: Size, mean: Sequence[float], std: Sequence[float]
) -> Recipe:
    """The default recipe for ``images`` training images.

    About 900,000 looks at an image in all, but 60 epochs at most and 10 at least. Grey images are not mirrored:
    digits, letters and X-rays (the heart is on the left) change their meaning; colour photos seldom do. No label
    smoothing: it flattens the scores of sure and unsure answers alike, which spoils their order (AUROC on
    PneumoniaMNIST 0.90 with it, 0.97 without).
    """
    return Recipe(
        model=Spec(name=model, arguments={"classes": classes, "channels": channels, "size": [size.height, size.width]}),
        preprocess=Spec(
            name="standard",
            arguments={
                "size": [size.height, size.width],
                "channels": channels,
                "mean": [round(m, 5) for m in mean],
                "std": [round(s, 5) for s in std],
            },
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
