"""Which items belong together, such as the clips of one person: read from their ids by a pattern.

A pattern is a regular expression; its first group, or all that it matches, names the group. Where clips have none, one
is looked for: names that recur in several classes, each on several clips, may be people's, or ``person01``, or ``g01``.
Plain counters, which every class has, are none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from visto.data.dataset import Dataset, Item
from visto.data.walk import natural
from visto.errors import UsageError

NONE = "none"

_FEWEST = 3  # groups: fewer cannot be in train, validation and test
_RECUR = 0.8  # of the groups must be in two classes or more
_NAMED = 3  # groups in the note, for example
_LETTERS = r"[^\W\d_]"
_SURE = ("person", "subject", "subj", "actor", "participant", "patient", "player", "speaker", "signer", "user")
_SHORT = ("p", "s", "g", "u")  # may count takes, too: only where a class has several clips of each
_NO_NAMES = re.compile(
    "left|right|front|back|top|bottom|up|down|side|forward|backward|near|far|in|out|inside|outside|indoors?|outdoors?|"
    "day|night|morning|evening|slow|fast|quick|normal|easy|hard|high|low|first|second|third|one|two|three|train|val|"
    "valid|validation|test|colou?r|rgb|depth|video|clip|take|trial|seq|sequence|frames?"
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A pattern, and what its groups must be: a word that may be a name, and on several clips of one class."""

    pattern: str
    word: bool = False
    several: bool = False


def grouped(dataset: Dataset, pattern: str | None) -> Dataset:
    """The same items with the groups that ``pattern`` finds in their ids; ``none``: every item by itself.

    None looks for a pattern where clips or series have no groups. What was found, or not, stands in ``grouped_by``
    and ``notes``; ``grouped_by`` is empty where nothing matched. Raises UsageError for what is no regular expression.
    """
    if dataset.task == "forecast":  # its groups are stretches of time
        if pattern is not None:
            raise UsageError("--group-by with a series to foretell", hint="leave it out: it is split by time")
        return dataset
    if pattern is None:
        if dataset.task != "sequence" or any(item.group for item in dataset.items):
            return dataset
        pattern = found_pattern(dataset)
        way = f"; this is --group-by '{pattern}', and another pattern, or none, overrules it"
        return _with(dataset, pattern, "read from the names", way) if pattern else dataset
    if pattern == NONE:
        return replace(dataset, items=tuple(replace(item, group=None) for item in dataset.items), grouped_by=NONE)
    return _with(dataset, pattern, f"by the pattern '{pattern}'")


def found_pattern(dataset: Dataset) -> str:
    """The first pattern that finds groups in the ids; nothing where none does."""
    class_of = {item.id: item.target.classes[0] for item in dataset.items if item.target is not None}
    classes = {name.casefold() for name in dataset.classes}
    for kind in _kinds():
        groups = _groups(kind.pattern, dataset.items)
        if len(groups) == len(dataset.items) and _fits(kind, groups, class_of, classes):
            return kind.pattern
    return ""


def _kinds() -> list[_Kind]:
    kinds = [_Kind(rf"(?i)(?<!{_LETTERS})({name}[_ -]?\d+)[^/]*$") for name in _SURE]
    kinds += [_Kind(rf"(?i)(?<!{_LETTERS})({name}\d+)[^/]*$", several=True) for name in _SHORT]
    # the words in a name, counted from its beginning, and from its end
    skips = ["", *(rf"(?:[^/_. -]+[_. -]+){{{k}}}" for k in range(1, 4))]
    kinds += [_Kind(rf"(?:^|/){skip}({_LETTERS}{{2,}})[^/]*$", word=True) for skip in skips]
    ends = [rf"(?:^|[/_ -])({_LETTERS}{{2,}})[^/_ -]*(?:[_ -][^/_ -]*){{{k}}}$" for k in range(3)]
    return kinds + [_Kind(end, word=True) for end in ends]


def _groups(pattern: str, items: Sequence[Item]) -> dict[str, str]:
    """The group of each id in which the pattern finds one."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--group-by {pattern!r} is no regular expression: {error}",
            expected=r"such as '(person\d+)', or none",
        ) from error
    matches = ((item.id, compiled.search(item.id)) for item in items)
    names = ((id, match[1 if compiled.groups else 0]) for id, match in matches if match)
    return {id: name for id, name in names if name}


def _fits(kind: _Kind, groups: Mapping[str, str], class_of: Mapping[str, int], classes: set[str]) -> bool:
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for id, name in groups.items():
        found[name.casefold()][class_of[id]] += 1
    if not _FEWEST <= len(found) <= len(groups) / 2 or classes & found.keys():
        return False
    if kind.word and any(map(_NO_NAMES.fullmatch, found)):
        return False
    pairs = sum(map(len, found.values()))  # of a group and a class
    if kind.several and len(groups) < 1.5 * pairs:
        return False
    return sum(len(inside) > 1 for inside in found.values()) >= _RECUR * len(found)


def _with(dataset: Dataset, pattern: str, origin: str, way: str = "") -> Dataset:
    groups = _groups(pattern, dataset.items)
    if not groups:
        return dataset
    first: dict[str, str] = {}  # Anna and anna are one person
    groups = {id: first.setdefault(name.casefold(), name) for id, name in sorted(groups.items())}
    names = sorted(set(groups.values()), key=natural)
    some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    words = f"{len(names):,} groups {origin} ({some})"
    if alone := len(dataset.items) - len(groups):
        words += f", and {alone:,} without a group, each by itself"
    words += way if dataset.declared else f": none of them is in two splits{way}"
    items = tuple(replace(item, group=groups.get(item.id)) for item in dataset.items)
    return straddling(replace(dataset, items=items, grouped_by=pattern, notes=(*dataset.notes, words)))


def straddling(dataset: Dataset) -> Dataset:
    """The same, with a note where groups are in several of the splits that the data came with."""
    places = {(item.group, item.split) for item in dataset.items if item.group and item.split}
    several = sum(count > 1 for count in Counter(group for group, _ in places).values())
    words = f"careful: {several:,} groups are in more than one of the splits that the data came with"
    return replace(dataset, notes=(*dataset.notes, words)) if several else dataset
