"""Recurrent nets over the rows of an image, the frames of a clip or the steps of a series."""

from collections.abc import Sequence

from visto.models.reader import Reader, Reading, features_of


def rnn(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    over: str = "rows",
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    pool: str = "last",
) -> Reading:
    """The plain recurrent net: it soon forgets. ``over`` rows, frames or steps; what is judged (``pool``) is the last
    state, or the mean of all; ``bidirectional`` also reads from the end.

    Raises UsageError for arguments out of range.
    """
    reader = Reader(
        features_of(over, channels, size),
        classes,
        cell="rnn",
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
        pool=pool,
    )
    return Reading(reader, over)


def lstm(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    over: str = "rows",
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    pool: str = "last",
) -> Reading:
    """Long short-term memory: gates say what it takes in, keeps and gives. Arguments as of rnn.

    Raises UsageError for arguments out of range.
    """
    reader = Reader(
        features_of(over, channels, size),
        classes,
        cell="lstm",
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
        pool=pool,
    )
    return Reading(reader, over)


def gru(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    over: str = "rows",
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    pool: str = "last",
) -> Reading:
    """Gated recurrent units: three quarters of an LSTM's weights, no memory beside the state. Arguments as of rnn.

    Raises UsageError for arguments out of range.
    """
    reader = Reader(
        features_of(over, channels, size),
        classes,
        cell="gru",
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
        pool=pool,
    )
    return Reading(reader, over)
