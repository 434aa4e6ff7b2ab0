"""What stands first: what the model is for, how good it is in plain words, when and from what it was made."""

from dataclasses import dataclass

from visto.models.second_look import in_words
from visto.report.cautions import Facts
from visto.report.found_boxes import FoundBoxes
from visto.report.making import input_words, made_at
from visto.report.words import amount, counted, decimal, interval, kind, lowered, percent, shown, spoken_of

_NAMED = 12
_LISTED = 300

_PARTS = {
    "test": "of the test split",
    "validation": "of the validation split",
    "train": "of the training split",
    "all": "it was not made from",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """``value`` is the main figure as a person reads it, ``words`` a sentence on it; ``rows`` are (what, how)."""

    name: str
    purpose: str
    classes: list[str]
    more: int
    rest: list[str]
    beyond: int
    figure: str
    value: str
    interval: str
    words: str
    rows: list[tuple[str, str]]


def headline(facts: Facts) -> Headline:
    classes = [shown(name) for name in facts.evaluation.classes]
    what, value, bounds = "", "–", ""
    if facts.main is not None:
        name, figure = facts.main
        what, value, bounds = kind(name).title, amount(name, figure.value), interval(name, figure)
    return Headline(
        name=shown(facts.bundle.path.name.removesuffix(".visto")),
        purpose=_purpose(facts, len(classes)),
        classes=classes[:_NAMED],
        more=max(0, len(classes) - _NAMED),
        rest=classes[_NAMED:_LISTED],
        beyond=max(0, len(classes) - _LISTED),
        figure=what,
        value=value,
        interval=bounds,
        words=_words(facts, bounds),
        rows=_rows(facts),
    )


def _purpose(facts: Facts, classes: int) -> str:
    number = counted(classes, "class", "classes")
    if facts.judged.boxes is not None:
        return f"Finds {counted(classes, 'kind')} of things and where they are"
    return (
        f"Tells {number} apart"
        if facts.judged.single
        else spoken_of(facts.judged.noun, f"Finds any of {number} in an image")
    )


def _words(facts: Facts, bounds: str) -> str:
    n, right = facts.evaluation.n, int(facts.judged.right.sum())
    images = f"{counted(n, facts.judged.noun)} {_PARTS.get(facts.evaluation.split, '')}".rstrip()
    how = "were answered right" if facts.judged.single else "had every class right and none missed"
    first = f"Of {images}, {right:,} {how}."
    if facts.judged.boxes is not None:
        first = _box_words(facts.judged.boxes, images)
    if not bounds or facts.main is None:
        return first
    title, nouns = kind(facts.main[0]).title, facts.judged.nouns
    return f"{first} On more {nouns} like these, expect {lowered(title)} to lie within {bounds} (95\xa0% interval)."


def _box_words(boxes: FoundBoxes, images: str) -> str:
    drawn = int(boxes.drawn.sum())
    rule = f"It draws what scores {decimal(boxes.threshold)} or more."
    if not boxes.wanted:
        return f"There is nothing to find in {images}; it draws {counted(drawn, 'box', 'boxes')}. {rule}"
    found = f"{boxes.right:,} ({percent(boxes.right / boxes.wanted)})"
    first = f"Of {counted(boxes.wanted, 'box', 'boxes')} in {images} it finds {found}"
    if not drawn:
        return f"{first}: it draws none. {rule}"
    are = "is" if boxes.right == 1 else "are"
    return f"{first}; of the {drawn:,} it draws, {boxes.right:,} {are} right ({percent(boxes.right / drawn)}). {rule}"


def _rows(facts: Facts) -> list[tuple[str, str]]:
    manifest = facts.bundle.manifest
    data = manifest.data
    rows = [("Task", manifest.task), ("Model", in_words(manifest.model))]
    if words := input_words(facts.bundle):
        rows.append(("Sees", words))
    rows.append(("Made", made_at(facts.bundle)))
    if "name" in data and "train" in data and "validation" in data:
        images = f"{counted(data['train'], facts.judged.noun)}, and {data['validation']:,} more to validate"
        rows.append(("Made from", f"{shown(str(data['name']))}: {images}"))
    rows.append(("Judged on", _judged_on(facts)))
    return [(what, shown(how, 200)) for what, how in rows]


def _judged_on(facts: Facts) -> str:
    evaluation, boxes = facts.evaluation, facts.judged.boxes
    words = counted(evaluation.n, facts.judged.noun)
    words += f" with {counted(boxes.wanted, 'box', 'boxes')}" if boxes is not None else ""
    words += "" if evaluation.split == "all" else f" of {evaluation.split}"
    if evaluation.left_out:
        words += f"; {evaluation.left_out:,} left out, because it was made from them"
    return words
