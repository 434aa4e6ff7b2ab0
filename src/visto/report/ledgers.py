"""What became of every file: kept, repaired, rejected, and why, with examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visto.data.ledger import Entry, counts
from visto.report.words import shown

MOST_REASONS = 20
_EXAMPLES = 3
_DOUBLE, _OTHER_LABEL = "same content as", "with another label"
_NO_LOSS = ("not an image by its name", _DOUBLE, "the parent model was trained on it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason for a status, how many files it holds for, and some of them."""

    status: str
    words: str
    count: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Files by status, and why, the heaviest reasons first.

    ``lost`` were rejected though they should have been images worth having, ``doubles`` have the content of another,
    those ``quarrelling`` under another label.
    """

    counts: Mapping[str, int]
    lost: int
    doubles: int
    quarrelling: int
    reasons: Sequence[Reason]
    more: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def ledger_of(entries: Sequence[Entry]) -> Ledger:
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.reason:
            found.setdefault((entry.status, entry.reason), []).append(entry.id)
    known = counts(entries)
    no_loss = sum(
        len(ids)
        for (status, reason), ids in found.items()
        if status == "rejected" and any(words in reason for words in _NO_LOSS)
    )
    weight = {"rejected": 0, "repaired": 1, "kept": 2}
    order = sorted(found.items(), key=lambda pair: (weight[pair[0][0]], -len(pair[1]), pair[0][1]))
    return Ledger(
        counts=known,
        lost=known["rejected"] - no_loss,
        doubles=sum(len(ids) for (_, reason), ids in found.items() if _DOUBLE in reason),
        quarrelling=sum(len(ids) for (_, reason), ids in found.items() if _OTHER_LABEL in reason),
        reasons=[
            Reason(
                status=status,
                words=shown(reason, 200),
                count=len(ids),
                examples=[shown(id, 72) for id in ids[:_EXAMPLES]],
            )
            for (status, reason), ids in order[:MOST_REASONS]
        ],
        more=max(0, len(order) - MOST_REASONS),
    )
