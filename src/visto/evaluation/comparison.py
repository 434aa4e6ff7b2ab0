"""Compare two recognisers on the same images, which neither has seen: is one of them really better?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from visto.bundle import seen_before
from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Dataset, Item, noun_of
from visto.data.ledger import Entry, counts
from visto.data.windows import numbered
from visto.errors import DataError, UsageError
from visto.evaluation.choice import relabel
from visto.evaluation.judge import RIGHT, filled
from visto.evaluation.run import answer_all
from visto.evaluation.series import all_fresh, items_of_both
from visto.evaluation.verdict import verdict
from visto.memory import keep_freed_memory
from visto.metrics import McNemar, Paired, mcnemar, paired
from visto.prediction import Recogniser
from visto.quantities import plural
from visto.tasks import TASKS
from visto.types import Answer, Boxes, Figure, Future, Split, Task, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two recognisers, A and B, on the same ``n`` images.

    ``a`` and ``b`` are their figures, ``difference`` is B minus A, from the same resamples of the images;
    ``groups`` counts the groups that were drawn whole (0: the images were). ``mcnemar`` is None where an image is
    not just right or wrong. ``verdict`` says in a sentence what the decisive figure bears out. ``seen`` counts the
    judged images that made A, and B (0 unless a split was asked for by name), ``left_out`` those not judged because
    either had seen them. ``noun`` says what they are: image, clip or series.
    """

    task: str
    split: str
    n: int
    groups: int
    seen: tuple[int, int]
    left_out: int
    classes: tuple[str, ...]
    a: Mapping[str, Figure]
    b: Mapping[str, Figure]
    difference: Mapping[str, Figure]
    mcnemar: McNemar | None
    verdict: str
    ledger: tuple[Entry, ...]
    noun: str = "image"

    def to_json(self) -> dict[str, object]:
        return {
            "task": self.task,
            "split": self.split,
            "n": self.n,
            "a": {name: figure.to_json() for name, figure in self.a.items()},
            "b": {name: figure.to_json() for name, figure in self.b.items()},
            "difference": {name: figure.to_json() for name, figure in self.difference.items()},
            "mcnemar": None
            if self.mcnemar is None
            else {
                "only_a_right": self.mcnemar.only_first,
                "only_b_right": self.mcnemar.only_second,
                "p": self.mcnemar.p,
            },
            "verdict": self.verdict,
            "classes": list(self.classes),
            "groups": self.groups,
            "overlap": {"a": self.seen[0], "b": self.seen[1], "left_out": self.left_out},
            "ledger": counts(self.ledger),
        }


def compare(
    a: Recogniser,
    b: Recogniser,
    dataset: Dataset,
    *,
    tasks: tuple[str, str],
    split: Split | None,
    threads: int,
    voice: Voice,
) -> Comparison:
    """Judge A and B on the test split, else the validation split, else (flat data) on everything that neither saw.

    ``split`` names another one; images that either has seen are then judged too, and counted. Classes stand in the
    order of A. Raises UsageError where the two have not the same task and classes, DataError where no image is left
    or the data has a class that they do not know.
    """
    _check_alike(a, b, tasks)
    keep_freed_memory()
    named, *listed = items_of_both(a, b, dataset, tasks, split)
    series = dataset.task == "forecast"
    items = listed[0] if series else relabel(listed[0], a.task, dataset.classes, a.classes)
    pixels = _fitted_for_both((a, b), (items, listed[1] if series else items), threads, voice)
    if series:
        pixels = numbered(pixels[0]), numbered(pixels[1])
    both = zip((a, b), pixels, strict=True)
    known = [seen_before(own.digests, torch.cat(list(one.seen.values()))) for one, own in both]
    noun = noun_of(items)
    free = all_fresh([(own.items, seen) for own, seen in zip(pixels, known, strict=True)], dataset)
    judged = torch.arange(len(pixels[0])) if split else free.nonzero().flatten()
    if not len(judged):
        raise DataError(
            f"no {noun} is left to compare on: {len(items)} in {named}, {int(known[0].sum())} of them were used to "
            f"make A, {int(known[1].sum())} to make B, {len(items) - len(pixels[0])} cannot be read",
            expected=f"{plural(noun)} that neither model has seen",
            hint=f"give other data, or compare on seen {plural(noun)} knowingly with --split",
        )
    first, second = (answer_all(one, own, judged, voice) for one, own in zip((a, b), pixels, strict=True))
    shown = take(pixels[0], judged)
    groups = [item.group for item in shown.items]
    answers = (first, in_order(b.task, second, b.classes, a.classes))
    # each at the thresholds that it was made with, both over the classes of A; of a series in the units of A
    tasks_of = (a.task, a.task if series else TASKS[tasks[1]](classes=a.classes, **b.task.arguments()))
    found, right = _judged(tasks_of, answers, [item.target for item in shown.items], groups)
    return Comparison(
        task=tasks[0],
        split=named,
        n=len(judged),
        groups=len(set(groups)) if any(groups) else 0,
        seen=(int(known[0].sum()), int(known[1].sum())) if split else (0, 0),
        left_out=len(pixels[0]) - len(judged),
        classes=a.classes,
        a=found.first,
        b=found.second,
        difference=found.difference,
        mcnemar=right,
        verdict=verdict(
            found.difference,
            right,
            a.task.decisive,
            n=len(judged),
            noun=noun,
            grouped=any(groups),
            alike=_alike(*answers),
            less=a.task.monitor == (a.task.decisive, "min"),
        ),
        ledger=dataset.ledger if series else shown.entries,
        noun=noun,
    )


def _check_alike(a: Recogniser, b: Recogniser, tasks: tuple[str, str]) -> None:
    if tasks[0] != tasks[1]:
        raise UsageError(f"A does {tasks[0]}, B does {tasks[1]}", expected="two models for the same task")
    if set(a.classes) != set(b.classes):
        pairs = (("A", a.classes, b.classes), ("B", b.classes, a.classes))
        lacks = {name: [label for label in own if label not in other] for name, own, other in pairs}
        words = "; ".join(f"only {name} knows {_listed(labels)}" for name, labels in lacks.items() if labels)
        raise UsageError(f"the models know different classes: {words}", expected="the same classes in both")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _fitted_for_both(
    both: tuple[Recogniser, Recogniser], items: tuple[Sequence[Item], Sequence[Item]], threads: int, voice: Voice
) -> tuple[Pixels, Pixels]:
    """The items that both could read, as pixels of the size that each wants; the ledger has what either rejected."""
    own = [
        materialise(some, one.fit, threads=threads, progress=voice.progress)
        for one, some in zip(both, items, strict=True)
    ]
    entries = tuple(x if x.status == "rejected" else y for x, y in zip(own[0].entries, own[1].entries, strict=True))
    read_by_both = torch.tensor([entry.status != "rejected" for entry in entries], dtype=torch.bool)
    first, second = (
        take(pixels, read_by_both[torch.tensor([e.status != "rejected" for e in pixels.entries])].nonzero().flatten())
        for pixels in own
    )
    return replace(first, entries=entries), replace(second, entries=entries)


def in_order(
    task: Task[Any, Any], answers: Sequence[Answer[Any]], theirs: Sequence[str], ours: Sequence[str]
) -> list[Answer[Any]]:
    """Answers over the classes ``theirs``, as answers over the same classes in the order of ``ours``."""
    if tuple(theirs) == tuple(ours):
        return list(answers)
    places = {k: ours.index(name) for k, name in enumerate(theirs)}
    return [task.reorder(answer, places) for answer in answers]


def _judged(
    tasks: tuple[Task[Any, Any], Task[Any, Any]],
    answers: tuple[Sequence[Answer[Any]], Sequence[Answer[Any]]],
    targets: Sequence[Any],
    groups: Sequence[str | None],
) -> tuple[Paired, McNemar | None]:
    a, b = (filled(task, own, targets) for task, own in zip(tasks, answers, strict=True))
    together = groups if any(groups) else None
    found = paired(a, b, n=len(targets), groups=together)
    if tasks[0].decisive not in RIGHT:
        return found, None
    right = [
        torch.tensor([answer.value.classes == target.classes for answer, target in zip(own, targets, strict=True)])
        for own in answers
    ]
    return found, mcnemar(*right, groups=together)


def _alike(first: Sequence[Answer[Any]], second: Sequence[Answer[Any]]) -> bool:
    """Whether all answers are the same, with the same scores."""
    return all(
        x.value == y.value
        if isinstance(x.value, Boxes)
        else torch.equal(x.value.values, y.value.values)
        if isinstance(x.value, Future)
        else x.value.classes == y.value.classes and torch.equal(x.value.scores, y.value.scores)
        for x, y in zip(first, second, strict=True)
    )
