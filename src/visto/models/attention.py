"""A small causal transformer over the rows of an image, the frames of a clip or the steps of a series."""

from collections.abc import Sequence

from visto.models.reader import Reader, Reading, features_of


def attention(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    over: str = "rows",
    hidden: int = 128,
    layers: int = 2,
    heads: int = 4,
    window: int = 128,
    dropout: float = 0.0,
    pool: str = "last",
) -> Reading:
    """Causal attention: each step looks ``window`` steps back, the nearer the more. ``over`` rows, frames or steps;
    what is judged (``pool``) is the last step, or the mean of all.

    Raises UsageError for arguments out of range.
    """
    reader = Reader(
        features_of(over, channels, size),
        classes,
        cell="attention",
        hidden=hidden,
        layers=layers,
        dropout=dropout,
        pool=pool,
        heads=heads,
        window=window,
    )
    return Reading(reader, over)
