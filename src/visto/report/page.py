"""The page: every section gathered, then filled into the template. Nothing in it depends on the clock."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from visto.bundle import Bundle
from visto.data.dataset import Item
from visto.data.ledger import Entry, merge
from visto.evaluation import Evaluation
from visto.preprocess import PREPROCESS, Fit
from visto.report.box_curves import BoxCurves, Thresholds, box_curves, thresholds_of
from visto.report.box_mistakes import BoxMistakes, box_mistakes
from visto.report.cautions import Caution, Facts, cautions
from visto.report.classes import Table, class_table, group_table, split_table
from visto.report.climbed import Climbed, climbed
from visto.report.confusion import Confusion, confusion
from visto.report.figures import Row, figure_rows, main_figure
from visto.report.fitted import fitted_of
from visto.report.forecast_page import ForecastPage
from visto.report.headline import Headline, headline
from visto.report.inside import Inside, Material, inside
from visto.report.judged import Judged, Unit, class_counts, images_with, judged
from visto.report.learning import Growth, Learning, epochs_of, growth, learning
from visto.report.ledgers import Ledger, ledger_of
from visto.report.making import Making, making, no_curve_words
from visto.report.mistakes import Mistakes, mistakes
from visto.report.over_time import OverTime, over_time
from visto.report.plot_coverage import coverage_plot
from visto.report.plot_reliability import reliability_plot
from visto.report.sureness import Bin, Calibration, Kept, bins_of, calibration, coverage, thresholds
from visto.report.tuning import Tuning, tuned
from visto.report.words import BOX_MEANINGS, between, counted, percent, rounded_down
from visto.types import Size, View

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sureness:
    """Calibration and abstaining, drawn and in numbers; each part None or empty where the scores do not allow it.

    Boxes are not abstained from: of them, ``boxes`` says what a threshold brings.
    """

    known: Calibration | None
    reliability: Markup | None
    claims: str
    bins: Sequence[Bin]
    coverage: Markup | None
    thresholds: Sequence[Kept]
    boxes: Thresholds | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the template shows."""

    headline: Headline
    cautions: Sequence[Caution]
    figures: Sequence[Row]
    single: bool
    unit: Unit
    noun: str
    nouns: str
    entries: tuple[str, str]
    n: int
    confusion: Confusion | None
    classes: Table
    groups: Table | None
    mistakes: Mistakes | None
    boxes: BoxCurves | None
    box_mistakes: BoxMistakes | None
    samples: bool
    time: OverTime | None
    sureness: Sureness
    inside: Inside | None
    splits: Table
    ledgers: Sequence[tuple[str, Ledger]]
    reasons: Ledger
    ladder: Climbed | None
    learning: Learning | None
    no_curve: str
    growth: Growth | None
    tuning: Tuning | None
    making: Making


def gather_page(
    bundle: Bundle,
    evaluation: Evaluation,
    history: Sequence[Mapping[str, Any]],
    ledger: Sequence[Entry],
    *,
    samples: bool,
    learning_curve: Mapping[str, Any] | None,
    tuning: Mapping[str, Any] | None,
    listed: Counts,
    trained_on: Sequence[Item],
) -> Page:
    looked, fitted = judged(evaluation), fitted_of(bundle)
    boxes, unit = looked.boxes, looked.unit
    have, answered = class_counts(evaluation, boxes)
    name = main_figure(evaluation.figures, history)
    known = calibration(looked)
    both = ledger_of(merge((*ledger, *evaluation.ledger)))
    trained = [listed.get("train", {}).get(label, 0) for label in evaluation.classes] if "train" in listed else []
    facts = Facts(
        bundle=bundle,
        evaluation=evaluation,
        judged=looked,
        main=(name, evaluation.figures[name]) if name else None,
        calibration=known,
        have=have,
        answered=answered,
        trained=trained,
        ledger=both,
        history=epochs_of(history),
        fitted=fitted,
    )
    errors = mistakes(evaluation, looked, samples=samples) if boxes is None else None
    material = Material(
        bundle=bundle,
        evaluation=evaluation,
        wrong=errors.first if errors is not None else (),
        trained=trained_on,
        counts=trained,
        samples=samples,
    )
    return Page(
        headline=headline(facts),
        cautions=cautions(facts),
        figures=figure_rows(evaluation.figures, name, BOX_MEANINGS if boxes is not None else {}, looked.noun),
        single=looked.single,
        unit=unit,
        noun=looked.noun,
        nouns=looked.nouns,
        entries=looked.entries,
        n=evaluation.n,
        confusion=confusion(evaluation.details, evaluation.classes, (unit.one, unit.many)),
        classes=class_table(
            evaluation.classes, evaluation.figures, have, _class_columns(looked, evaluation, answered), unit.many
        ),
        groups=group_table(evaluation.groups, looked.nouns),
        mistakes=errors,
        boxes=box_curves(boxes, evaluation.figures, evaluation.details, evaluation.classes) if boxes else None,
        box_mistakes=box_mistakes(evaluation, boxes, _views(bundle, evaluation) if samples else None)
        if boxes
        else None,
        samples=samples,
        time=over_time(bundle, evaluation, looked, samples=samples),
        sureness=_sureness(looked, known),
        inside=inside(fitted, material),
        splits=split_table(evaluation.classes, listed, _judged_columns(looked, evaluation, have)),
        ledgers=_ledgers(ledger, evaluation.ledger, bundle),
        reasons=both,
        ladder=climbed(bundle.manifest.recipe),
        learning=learning(facts.history, looked.noun),
        no_curve=no_curve_words(bundle.manifest.recipe, fitted),
        growth=growth(learning_curve),
        tuning=tuned(tuning),
        making=making(bundle, fitted, looked),
    )


def _views(bundle: Bundle, evaluation: Evaluation) -> Callable[[int], View]:
    """How the image of a row came to the model's input."""
    fit: Fit = bundle.manifest.preprocess.build(PREPROCESS).fit
    sizes = evaluation.pixels.sizes

    def view(row: int) -> View:
        height, width = sizes[row].tolist()
        return fit.view(Size(height=height, width=width))

    return view


def _judged_columns(looked: Judged, evaluation: Evaluation, have: Sequence[int]) -> dict[str, Sequence[int]]:
    """Judged images of each class by column, and the boxes where there are."""
    if looked.boxes is None:
        return {"Judged": have}
    return {"Judged": images_with(evaluation), "Boxes judged": have}


def _class_columns(looked: Judged, evaluation: Evaluation, answered: Sequence[int]) -> dict[str, Sequence[int]]:
    """Counts of each class by column: how often it was the answer; what was missed and added, where that differs."""
    if looked.boxes is not None:
        right = looked.boxes.per_class(looked.boxes.drawn & looked.boxes.hits)
        return {
            "Wrong": [n - hits for n, hits in zip(answered, right, strict=True)],
            "Missed": [n - hits for n, hits in zip(looked.boxes.have, right, strict=True)],
        }
    columns: dict[str, Sequence[int]] = {"Answered": answered}
    decisions = evaluation.details.get("decisions")
    if isinstance(decisions, Mapping) and {"fn", "fp"} <= decisions.keys():
        columns |= {"Missed": decisions["fn"], "Wrongly added": decisions["fp"]}
    return columns


def _sureness(looked: Judged, known: Calibration | None) -> Sureness:
    claims, words = looked.unit.claims, ""
    plot, bins = None, bins_of(looked)
    if bins:
        what = "how often it is so" if claims == "scores" else "how often it is right"
        if known is not None:
            words = _claim_words(looked, known)
        plot = reliability_plot(bins, what=what, words=words)
    curve = coverage(looked)
    kept = ", ".join(f"{percent(k.coverage)} answered: {percent(k.right)} right" for k in thresholds(looked))
    return Sureness(
        known=known,
        reliability=plot,
        claims=words,
        bins=[b for b in bins if b.count],
        coverage=coverage_plot(curve, what="how many of these are right", words=kept, nouns=looked.nouns)
        if curve
        else None,
        thresholds=thresholds(looked),
        boxes=thresholds_of(looked.boxes) if looked.boxes is not None else None,
    )


def _claim_words(looked: Judged, known: Calibration) -> str:
    claimed, right, claims = percent(known.claimed), percent(known.right), looked.unit.claims
    if claims == "boxes":
        return f"On average the boxes it draws score {claimed}, and {right} of them are right."
    said, are = ("answers claim", "are right") if claims == "answers" else ("scores say", "are so")
    return f"On average its {said} {claimed}, and {right} {are}."


def _ledgers(made: Sequence[Entry], judged_on: Sequence[Entry], bundle: Bundle) -> list[tuple[str, Ledger]]:
    """The files it was made from (by the bundle's counts where their ledger is not there), and those judged here."""
    first = ledger_of(made)
    if not made:
        counts = bundle.manifest.data.get("ledger")
        known = {status: counts.get(status, 0) for status in first.counts} if isinstance(counts, Mapping) else {}
        first = Ledger(counts=known or first.counts, lost=0, doubles=0, quarrelling=0, reasons=(), more=0)
    return [("Read to make it", first), ("Read to judge it", ledger_of(judged_on))]


def render(page: Page | ForecastPage) -> str:
    """One HTML document. What it may load is nothing; the style and the script in it are allowed by their hashes."""
    style, script = _resource("page.css"), _resource("page.js")
    # fields, not items: nested dataclasses stay as they are
    content = {name: getattr(page, name) for name in page.__dataclass_fields__}
    return _template("forecast.html.j2" if isinstance(page, ForecastPage) else "page.html.j2").render(
        style=Markup(style),  # noqa: S704  (our own file)
        script=Markup(script),  # noqa: S704  (our own file)
        style_hash=_hash(style),
        script_hash=_hash(script),
        **content,
    )


def _template(name: str) -> Template:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "counted": counted, "between": between, "rounded_down": rounded_down}
    return environment.get_template(name)


def _resource(name: str) -> str:
    return files("visto.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
