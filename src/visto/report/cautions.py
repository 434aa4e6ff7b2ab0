"""What a reader must know before trusting the figures: found by rule, the gravest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visto.bundle import Bundle, seen_before
from visto.evaluation import Evaluation
from visto.report.box_cautions import about_boxes
from visto.report.fitted import Fitted, joined
from visto.report.judged import Judged
from visto.report.learning import fall, rise
from visto.report.ledgers import Ledger
from visto.report.sureness import Calibration
from visto.report.words import amount, counted, interval, listed, percent, shown
from visto.types import Figure

FEW_IMAGES, FEW_A_CLASS, UNEVEN, WIDE = 100, 10, 10, 0.1
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """``grave`` ones can make the figures worthless."""

    grave: bool
    title: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules look at. ``have`` and ``answered`` count judged images (or boxes) by class, ``trained`` the images
    learnt from.

    ``history`` has the epochs only; ``fitted`` is None for a model that learnt step by step.
    """

    bundle: Bundle
    evaluation: Evaluation
    judged: Judged
    main: tuple[str, Figure] | None
    calibration: Calibration | None
    have: Sequence[int]
    answered: Sequence[int]
    trained: Sequence[int]
    ledger: Ledger
    history: Sequence[Mapping[str, Any]]
    fitted: Fitted | None


def cautions(facts: Facts) -> list[Caution]:
    found = [
        *_about_what_was_seen(facts),
        *_about_size(facts),
        *_about_chance(facts),
        *_about_classes(facts),
        *_about_boxes(facts),
        *_about_scores(facts),
        *_about_files(facts),
        *_about_learning(facts),
        *_about_what_it_holds(facts),
    ]
    return sorted(found, key=lambda caution: not caution.grave)


def _about_what_was_seen(facts: Facts) -> list[Caution]:
    digests, n = facts.evaluation.pixels.digests, counted(facts.evaluation.n, facts.judged.noun)
    nouns = facts.judged.nouns
    trained, tuned = (int(seen_before(digests, facts.bundle.seen[part]).sum()) for part in ("train", "validation"))
    found = []
    if trained:
        words = f"{trained:,} of the {n} judged here taught it: what it gets right there proves little."
        found.append(Caution(grave=True, title="Judged on what it was trained on", words=words))
    if tuned:
        words = (
            f"{tuned:,} of the {n} judged here are its validation {nouns}. It did not learn from "
            f"them, but they {_part_of_validation(facts)}: on {nouns} that had no part in it, "
            "figures can be lower."
        )
        found.append(Caution(grave=False, title=f"Judged on its validation {nouns}", words=words))
    return found


def _part_of_validation(facts: Facts) -> str:
    """What the validation images decided."""
    if "ladder" in facts.bundle.manifest.recipe:
        return "chose it among other models and set its scores"
    return "watched over its training and set its scores" if facts.fitted is None else "set its scores"


def _about_size(facts: Facts) -> list[Caution]:
    n, nouns = facts.evaluation.n, facts.judged.nouns
    if facts.main is None:
        return [Caution(grave=True, title="No figure", words=f"Nothing could be measured on these {nouns}.")]
    name, figure = facts.main
    bounds = interval(name, figure)
    if figure.low is None or figure.high is None:
        words = (
            f"On {counted(n, facts.judged.noun)} chance alone cannot be told from skill: the figure has no interval."
        )
        return [Caution(grave=True, title="No interval", words=words)]
    width = figure.high - figure.low
    if n >= FEW_IMAGES and width <= WIDE:
        return []
    title = f"Judged on few {nouns}" if n < FEW_IMAGES else "A wide interval"
    judged = counted(n, facts.judged.noun)
    words = f"With {judged} judged, all that is known is that the figure lies somewhere within {bounds}."
    return [Caution(grave=width > 2 * WIDE, title=title, words=words)]


def _about_chance(facts: Facts) -> list[Caution]:
    """Whether always answering the commonest class would do as well."""
    figure = facts.evaluation.figures.get("accuracy")
    if not facts.judged.single or figure is None or figure.low is None:
        return []
    most = max(facts.have)
    share = most / facts.evaluation.n
    if figure.low > share:
        return []
    name = shown(facts.evaluation.classes[facts.have.index(most)])
    words = (
        f"Always answering “{name}” would be right on {percent(share)} of these {facts.judged.nouns}; the model is on "
        f"{amount('accuracy', figure.value)} ({interval('accuracy', figure)})."
    )
    return [Caution(grave=True, title="Not shown to be better than a constant answer", words=words)]


def _about_classes(facts: Facts) -> list[Caution]:
    names, unit = [shown(name) for name in facts.evaluation.classes], facts.judged.unit
    none = [name for name, n in zip(names, facts.have, strict=True) if n == 0]
    few = [f"{name} ({n})" for name, n in zip(names, facts.have, strict=True) if 0 < n < FEW_A_CLASS]
    never = [name for name, n, a in zip(names, facts.have, facts.answered, strict=True) if n and not a]
    found = []
    if none:
        words = f"Nothing is known of {listed(none, _NAMED)}: no {unit.one} of it was judged."
        found.append(Caution(grave=False, title=f"{counted(len(none), 'class', 'classes')} not judged", words=words))
    if never:
        words = f"Not once was the answer {listed(never, _NAMED)}, though such {unit.many} were judged."
        title = f"{counted(len(never), 'class', 'classes')} never answered"
        found.append(Caution(grave=len(never) * 4 > len(names), title=title, words=words))
    if few:
        words = f"Under {FEW_A_CLASS} {unit.many} were judged of {listed(few, _NAMED)}: their own figures say little."
        found.append(Caution(grave=False, title=f"Classes with few judged {unit.many}", words=words))
    return [*found, *_about_weak_classes(facts, names), *_about_balance(facts, names)]


def _about_weak_classes(facts: Facts, names: Sequence[str]) -> list[Caution]:
    recalls = [facts.evaluation.figures.get(f"recall/{label}") for label in facts.evaluation.classes]
    weak = [
        f"{name} ({percent(recall.value)})"
        for name, recall, n, answered in zip(names, recalls, facts.have, facts.answered, strict=True)
        if recall is not None and n >= FEW_A_CLASS and answered and recall.value < 0.5
    ]
    if not weak:
        return []
    return [Caution(grave=False, title="Less than half found", words=f"Of {listed(weak, _NAMED)}.")]


def _about_balance(facts: Facts, names: Sequence[str]) -> list[Caution]:
    counts = list(facts.trained or facts.have)
    where = "trained on" if facts.trained else "judged"
    things = (facts.judged.noun,) if facts.trained else (facts.judged.unit.one, facts.judged.unit.many)
    holding = "with" if facts.judged.boxes is not None and facts.trained else "of"
    if not counts or min(counts) * UNEVEN > max(counts) or min(counts) == 0:
        return []
    rare, common = counts.index(min(counts)), counts.index(max(counts))
    most = f"{counted(max(counts), *things)} {holding} {names[common]} were {where}"
    hint = ": look at balanced accuracy and at the table of classes." if facts.judged.single else "."
    words = f"{most}, but {min(counts):,} {holding} {names[rare]}{hint}"
    return [Caution(grave=False, title="Uneven classes", words=words)]


def _about_boxes(facts: Facts) -> list[Caution]:
    if facts.judged.boxes is None:
        return []
    found = about_boxes(facts.judged.boxes, facts.evaluation.details)
    return [Caution(grave=grave, title=title, words=words) for grave, title, words in found]


def _about_scores(facts: Facts) -> list[Caution]:
    known = facts.calibration
    if known is None or not known.off:
        return []
    if known.claimed > known.right + 0.01:
        how = "surer than it is right"
    elif known.claimed < known.right - 0.01:
        how = "less sure than it is right"
    else:
        how = "too sure in places, not sure enough in others"
    words = f"It is {how}: on average its scores claim {percent(known.claimed)}, and {percent(known.right)} came true."
    return [Caution(grave=known.error > 0.15, title="Scores that cannot be taken at their word", words=words)]


def _about_files(facts: Facts) -> list[Caution]:
    ledger, found = facts.ledger, []
    things, plain = facts.judged.entries, "file" if facts.judged.noun == "image" else facts.judged.noun
    if ledger.lost:
        share = ledger.lost / ledger.total
        words = f"{ledger.lost:,} of {counted(ledger.total, *things)} could not be used ({percent(share)})."
        found.append(
            Caution(
                grave=share > 0.2,
                title=f"Rejected {things[1]}",
                words=words,
            )
        )
    if ledger.quarrelling:
        have = "has" if ledger.quarrelling == 1 else "have"
        words = f"{counted(ledger.quarrelling, plain)} {have} the same content as another, under another label."
        found.append(
            Caution(
                grave=False,
                title="One picture, two labels"
                if facts.judged.noun == "image"
                else f"One {facts.judged.noun}, two labels",
                words=words,
            )
        )
    if ledger.doubles * 20 > ledger.total:
        words = (
            f"{ledger.doubles:,} of {counted(ledger.total, *things)} are copies of another: less data than it looks."
        )
        found.append(Caution(grave=False, title="Many doubles", words=words))
    return found


def _about_learning(facts: Facts) -> list[Caution]:
    """A rising loss alone says little: scores grow too sure, and are softened after training. The figure must fall."""
    epoch, by = rise(facts.history)
    if by <= 0.25 or fall(facts.history) < 0.01 or len(facts.history) < 5:
        return []
    words = (
        f"Validation loss has risen by {100 * by:.0f}\xa0% since epoch {epoch:.0f}, and the figure that was watched "
        "has fallen from its best: it may have learnt by heart."
    )
    return [Caution(grave=False, title="Trained too long, perhaps", words=words)]


def _about_what_it_holds(facts: Facts) -> list[Caution]:
    """Who gives the model away gives that away too."""
    if not facts.bundle.manifest.holds_training_data:
        return []
    sizes = facts.fitted.sizes if facts.fitted else {}
    images = sizes.get("images") or sizes.get("vectors") or 0
    if not facts.fitted or not images:
        words = "By its nature it contains what training images look like."
    elif facts.fitted.features == ("raw",):
        words = f"It contains {counted(images, 'training image')}, whose pixels can be read from it, or nearly."
    else:
        words = (
            f"It contains {joined(facts.fitted.features)} of {counted(images, 'training image')}: much of what they "
            "look like, and whether some image was among them, can be read from it."
        )
    words += " Give it only to those who may see these images."
    return [Caution(grave=False, title="It holds training data", words=words)]
