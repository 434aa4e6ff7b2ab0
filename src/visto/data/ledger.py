"""What became of every file and annotation: kept, repaired or rejected, and why. Nothing is dropped silently."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from visto.files import write_bytes

Status = Literal["kept", "repaired", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file or one row of a list: its id, what became of it, and why (empty where it was simply kept)."""

    id: str
    status: Status
    reason: str = ""


_WEIGHT: dict[Status, int] = {"kept": 0, "repaired": 1, "rejected": 2}


def merge(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry an id, in order of first sight: the heaviest status, and every reason given for that status.

    A later "kept" does not undo a repair or a rejection.
    """
    entries = tuple(entries)
    if len({entry.id for entry in entries}) == len(entries):
        return entries
    by_id: dict[str, Entry] = {}
    for entry in entries:
        before = by_id.get(entry.id)
        if before is None or _WEIGHT[entry.status] > _WEIGHT[before.status]:
            by_id[entry.id] = entry
        elif entry.status == before.status and entry.reason and entry.reason not in before.reason:
            reason = f"{before.reason}; {entry.reason}" if before.reason else entry.reason
            by_id[entry.id] = Entry(id=entry.id, status=entry.status, reason=reason)
    return tuple(by_id.values())


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """How many were kept, repaired and rejected."""
    found = Counter([entry.status for entry in entries])
    return {status: found[status] for status in ("kept", "repaired", "rejected")}


def reasons(entries: Sequence[Entry]) -> list[tuple[str, int, str]]:
    """(reason, how many, first id) of all that was not simply kept, most frequent first."""
    first: dict[str, str] = {}
    found: Counter[str] = Counter()
    for entry in entries:
        if entry.reason:
            text = f"{entry.status}: {entry.reason}"
            found[text] += 1
            first.setdefault(text, entry.id)
    return [(text, n, first[text]) for text, n in found.most_common()]


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Write the ledger as CSV: id, status, reason."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "status", "reason"])
    writer.writerows([e.id, e.status, e.reason] for e in entries)
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))
