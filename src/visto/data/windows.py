"""A series cut into examples: a window of steps to look at, and the steps after it to foretell.

Splits go by time, never by chance: what is foretold lies in the first 70 % of the rows (train), the next 15 %
(validation) or the last 15 % (test); a training example lies wholly in its part, and what would be foretold across a
border is left out. Examples overlap, so intervals must not take them for independent: those of one stretch of time are
one group.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visto.data.dataset import DIGEST_BYTES, Dataset, Item, Steps, content_digest
from visto.data.ledger import Entry
from visto.data.pixels import Pixels
from visto.errors import DataError, UsageError
from visto.types import Future, Split

TASK = FORMAT = "forecast"
MOST_ITEMS = 20_000  # a longer series gives every second window, or every fourth, …
_WINDOW, _LEAST, _MOST = 32, 4, 512
_TRAIN, _TEST = 0.7, 0.85
_BLOCKS = 10  # groups that a part should have at least
_EXAMPLES = 10  # fewest to learn from
_PERIODIC = 0.2  # correlation with itself from which on a series is said to repeat


def dataset_to_foretell(
    name: str, values: NDArray[np.float32], names: Sequence[str], ledger: Sequence[Entry]
) -> Dataset:
    """The series with a window that suits it, and one step to foretell. Raises DataError for fewer than 2 rows."""
    if len(values) < 2:
        raise DataError(f"a series of {len(values)} row in {name}", expected="at least 2 rows, better some hundred")
    whole = Dataset(name=name, format=FORMAT, task=TASK, classes=tuple(names), items=(), ledger=tuple(ledger))
    window = min(default_window(values)[0], len(values) - 1)
    return replace(whole, items=tuple(_items(values, window, 1, borders=False)))


def series_of(dataset: Dataset) -> NDArray[np.float32]:
    """All rows M×F that the examples of a data set are cut from."""
    source = dataset.items[0].source if dataset.items else None
    if not isinstance(source, Steps):
        raise DataError(f"{dataset.name} is no series to foretell", expected="a file of numbers, a row a step")
    return source.array


def for_training(dataset: Dataset, window: int | None, horizon: int | None) -> tuple[Dataset, str]:
    """The series cut anew, and why the window is as it is. Raises DataError where too few examples come of it.

    Of a part of a data set (``data.train``) examples of that part.
    """
    values = series_of(dataset)
    suggested, why = default_window(values)
    window, horizon, why = (window, horizon or 1, "as asked") if window else (suggested, horizon or 1, why)
    if window < 1 or horizon < 1:
        raise UsageError(f"a window of {window} and a horizon of {horizon} steps", expected="1 or more")
    needed = rows_needed(window, horizon)
    if len(values) < needed:
        raise DataError(
            f"{len(values):,} rows are too few for a window of {window} and a horizon of {horizon}",
            expected=f"at least {needed:,} rows",
            hint="give a longer series, or a smaller --window or --horizon",
        )
    there = {item.split for item in dataset.items}
    items = [item for item in _items(values, window, horizon, borders=False) if item.split in there]
    return replace(dataset, items=tuple(items)), why


def for_judging(dataset: Dataset, names: Sequence[str], window: int, horizon: int) -> Dataset:
    """The columns ``names`` cut as a model wants them, those across the borders too.

    Raises DataError where a column is missing, or the series too short.
    """
    if missing := [name for name in names if name not in dataset.classes]:
        raise DataError(
            f"{dataset.name} has no column {', '.join(map(repr, missing[:5]))}",
            expected=f"the columns {', '.join(map(repr, names[:20]))}",
        )
    values = series_of(dataset)
    if tuple(names) != dataset.classes:
        values = np.ascontiguousarray(values[:, [dataset.classes.index(name) for name in names]])
    if len(values) < window + horizon:
        raise DataError(
            f"{dataset.name} has {len(values):,} rows",
            expected=f"at least {window + horizon:,}: a window of {window} and {horizon} to compare with",
        )
    there = {item.split for item in dataset.items}
    cut = _items(values, window, horizon, borders=True)
    items = cut if len(there) > 1 else [item for item in cut if item.split in there]
    return replace(dataset, classes=tuple(names), items=tuple(items), declared=frozenset())


def rows_needed(window: int, horizon: int) -> int:
    """The fewest rows of a series from which something can be learnt and judged.

    >>> rows_needed(32, 1)
    60
    """
    rows = window + horizon
    while True:
        first, second = _borders(rows)
        if first >= window + horizon + _EXAMPLES - 1 and second - first >= horizon and rows - second >= horizon:
            return rows
        rows += 1


def default_window(values: NDArray[np.float32]) -> tuple[int, str]:
    """How many steps to look at, up to a quarter of the training rows, and why: a whole period where there is one.

    >>> default_window(np.sin(np.arange(1000.0) * 2 * np.pi / 50)[:, None])
    (50, 'the series repeats every 50 steps')
    """
    train = values[: max(2, _borders(len(values))[0])]
    most = max(1, min(_MOST, len(train) // 4))
    usual = min(_WINDOW, most)
    period = max((dominant_period(column) or 0 for column in train.T), default=0)
    if period and usual < period <= most:
        return period, f"the series repeats every {period} steps"
    if period and period <= usual:
        return usual, f"the series repeats every {period} steps, and the window has more"
    return usual, "the usual one" if usual == _WINDOW else "a quarter of the rows to learn from"


def dominant_period(values: NDArray[np.float32]) -> int | None:
    """The lag at which a series is most like itself, by the first high peak of its autocorrelation; None without one.

    The straight line through it is taken off first. A peak must stand above 0.2, and beyond the first lag at which the
    correlation is not positive.
    """
    n = len(values)
    if n < 3 * _LEAST:
        return None
    x = np.arange(n, dtype=np.float64)
    y = values.astype(np.float64)
    slope, start = np.polyfit(x, y, 1)
    rest = y - (slope * x + start)
    power = float(rest @ rest)
    if power <= 1e-12 * max(1.0, float(y @ y)):
        return None
    spectrum = np.fft.rfft(rest, 2 * n)
    alike = np.fft.irfft(np.abs(spectrum) ** 2)[: n // 2] / power * n / (n - np.arange(n // 2))
    below = (alike <= 0).nonzero()[0]
    if not len(below):
        return None
    later = alike[below[0] :]
    best = float(later.max())
    if best < _PERIODIC:
        return None
    peaks = [
        k
        for k in range(int(below[0]) + 1, len(alike) - 1)
        if alike[k] >= alike[k - 1] and alike[k] >= alike[k + 1] and alike[k] >= 0.9 * best
    ]
    return peaks[0] if peaks else None


def numbered(pixels: Pixels) -> Pixels:
    """Windows in the order of time, of which one that equals earlier ones is named by how many they are, too.

    A series that repeats itself has not been seen to its end by who has seen its beginning.
    """
    contents = [bytes(row) for row in pixels.digests.numpy()]
    often: Counter[bytes] = Counter()
    names = bytearray()
    for content in contents:
        names += content_digest(content + str(often[content]).encode()) if often[content] else content
        often[content] += 1
    digests = torch.from_numpy(np.frombuffer(names, np.uint8).reshape(-1, DIGEST_BYTES).copy())
    return replace(pixels, digests=digests)


def untouched(items: Sequence[Item], known_n: Tensor) -> Tensor:
    """Which of N examples foretell no row that is part of an example that is ``known``: N bool.

    >>> array = np.zeros((9, 1), np.float32)
    >>> items = [*_items(array, 2, 1, borders=True)]
    >>> untouched(items, torch.tensor([True] + [False] * 6)).tolist()
    [False, True, True, True, True, True, True]
    """
    sources = [item.source for item in items if isinstance(item.source, Steps)]
    touched = np.zeros(len(sources[0].array) if sources else 0, bool)
    horizons = [len(item.target.values) for item in items if isinstance(item.target, Future)]
    spans = list(zip(sources, horizons, strict=True))
    for (source, horizon), known in zip(spans, known_n.tolist(), strict=True):
        if known:
            touched[source.start : source.stop + horizon] = True
    return torch.tensor([not touched[source.stop : source.stop + horizon].any() for source, horizon in spans])


def _borders(rows: int) -> tuple[int, int]:
    """The first rows of validation and of test."""
    return int(_TRAIN * rows), int(_TEST * rows)


def _items(values: NDArray[np.float32], window: int, horizon: int, *, borders: bool) -> list[Item]:
    """An example for each row (of a long series for every second, fourth, …) that can be the first one foretold."""
    first, second = _borders(len(values))
    stride = 1
    while len(values) > stride * MOST_ITEMS:
        stride *= 2
    block = _block(window + horizon, horizon, len(values) - second)
    parts: tuple[tuple[Split, int, int], ...] = (
        ("train", 0, first),
        ("validation", first, second),
        ("test", second, len(values)),
    )
    future = torch.from_numpy(values)
    found: list[Item] = []
    for row in range(-(-window // stride) * stride, len(values) - horizon + 1, stride):
        split = next((name for name, start, stop in parts if start <= row and row + horizon <= stop), None)
        if split is None and not borders:
            continue
        found.append(
            Item(
                id=f"row {row + 1}",
                source=Steps(values, row - window, row),
                target=Future(values=future[row : row + horizon]),
                split=split,
                group=f"rows {row // block * block + 1} to {(row // block + 1) * block}",
            )
        )
    return found


def _block(longest: int, least: int, rows: int) -> int:
    """How many rows one group spans: a whole example, or less where there would be too few groups.

    >>> _block(49, 1, 1000), _block(49, 1, 100), _block(49, 8, 60)
    (49, 10, 8)
    """
    return max(1, min(longest, max(least, rows // _BLOCKS)))
