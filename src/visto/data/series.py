"""From series of numbers to a Dataset: what is missing in them is mended and said, what cannot be used is rejected."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visto.data.dataset import Dataset, Item, Steps
from visto.data.ledger import Entry
from visto.data.walk import natural
from visto.errors import DataError
from visto.types import Label, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One series as found: ``values`` T×F, NaN where no number is, and in ``mends`` what was done to it before."""

    id: str
    values: NDArray[np.float32]
    label: str
    split: Split | None = None
    group: str | None = None
    mends: tuple[str, ...] = ()


def dataset_of_series(
    *, name: str, format: str, found: Sequence[Raw], ledger: Sequence[Entry] = (), notes: Sequence[str] = ()
) -> Dataset:
    """One item a series, all in one array. Raises DataError where none of them can be used.

    Of a number that is missing or infinite the last one before it is taken, else the first one after it. A series of
    fewer than two steps, with a feature that has no number at all, or with another number of features than most, is
    rejected.
    """
    entries = list(ledger)
    widths = Counter(raw.values.shape[1] for raw in found if len(raw.values))
    width = max(widths, key=lambda one: widths[one], default=0)
    kept: list[Raw] = []
    mended: list[NDArray[np.float32]] = []
    for raw in found:
        reason = _fault(raw.values, width)
        if reason:
            entries.append(Entry(id=raw.id, status="rejected", reason=reason))
            continue
        values, words = _whole(raw.values)
        kept.append(raw)
        mended.append(values)
        if said := "; ".join([*raw.mends, *words]):
            entries.append(Entry(id=raw.id, status="repaired", reason=said))
    if not kept:
        met = f"; the first: {entries[0].id}: {entries[0].reason}" if entries else ""
        raise DataError(f"no series in {name} that can be used{met}", expected="series of two steps or more")
    classes = tuple(sorted({raw.label for raw in kept if raw.label}, key=natural))
    labels = {label: Label(index=index) for index, label in enumerate(classes)}
    stops = np.cumsum([len(values) for values in mended]).tolist()
    array = np.concatenate(mended)
    return Dataset(
        name=name,
        format=format,
        task="sequence",
        classes=classes,
        items=tuple(
            Item(raw.id, Steps(array, stop - len(values), stop), labels.get(raw.label), raw.split, raw.group)
            for raw, values, stop in zip(kept, mended, stops, strict=True)
        ),
        ledger=tuple(entries),
        declared=frozenset(raw.split for raw in kept if raw.split),
        notes=tuple(notes),
    )


def _fault(values: NDArray[np.float32], width: int) -> str:
    """Why a series cannot be used, or nothing."""
    if not values.size:
        return "an empty series"
    if values.shape[1] != width:
        return f"{_numbers(values.shape[1])} a step, where most series have {width}"
    if len(values) < 2:
        return "only one step: nothing changes"
    lacking = ~np.isfinite(values).any(axis=0)
    if lacking.all():
        return "no number in it"
    return f"no number in feature {int(lacking.argmax()) + 1}" if lacking.any() else ""


def _whole(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    """The series with a number everywhere, and what was done, in words."""
    good = np.isfinite(values)
    if good.all():
        return values, []
    infinite = int(np.isinf(values).sum())
    missing = int(values.size - good.sum()) - infinite
    met = [f"{_numbers(missing)} missing"] if missing else []
    met += [f"{_numbers(infinite)} infinite"] if infinite else []
    return _carried(values, good), [f"{' and '.join(met)} of {values.size:,}: the last one before it was taken"]


def _carried(values: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Where ``good`` says no, the last good number before, else the first one after; each feature has one.

    >>> values = np.array([[np.nan], [2], [np.nan], [5]], np.float32)
    >>> _carried(values, np.isfinite(values)).ravel().tolist()
    [2.0, 2.0, 2.0, 5.0]
    """
    steps = np.arange(len(values))[:, None]
    before = np.maximum.accumulate(np.where(good, steps, -1), axis=0)
    source = np.where(before < 0, good.argmax(axis=0), before)
    carried: NDArray[np.float32] = np.take_along_axis(values, source, axis=0)
    return carried


def _numbers(count: int) -> str:
    return f"{count:,} number{'' if count == 1 else 's'}"
