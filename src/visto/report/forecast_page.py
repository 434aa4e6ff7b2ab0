"""The page on a model that foretells a series: how good beside plain ways, by steps ahead, and what it looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from visto.bundle import Bundle
from visto.data.ledger import Entry
from visto.evaluation import Evaluation
from visto.evaluation.gains import against_plain
from visto.models.second_look import in_words
from visto.report.cautions import Caution
from visto.report.figures import Row, figure_rows
from visto.report.headline import Headline
from visto.report.learning import Learning, epochs_of, learning
from visto.report.ledgers import Ledger, ledger_of
from visto.report.making import Making, made_at, making
from visto.report.plot_forecast import steps_plot, stretch_plots
from visto.report.words import amount, counted, interval, kind, percent, shown

_FEW_GROUPS = 10
_STEPS_LISTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPage:
    """All that its template shows. ``steps`` are rows of (steps ahead, forecast, linear, naive)."""

    headline: Headline
    cautions: Sequence[Caution]
    figures: Sequence[Row]
    n: int
    groups: int
    plain_ways: Sequence[str]
    steps_plot: Markup | None
    steps: Sequence[tuple[str, ...]]
    stretches: Sequence[tuple[Markup, str]]
    column: str
    ledger: Ledger
    learning: Learning | None
    no_curve: str
    making: Making
    growth: None = None
    tuning: None = None


def gather_forecast_page(
    bundle: Bundle, evaluation: Evaluation, history: Sequence[Mapping[str, Any]], ledger: Sequence[Entry]
) -> ForecastPage:
    items, figures = evaluation.pixels.items, evaluation.figures
    steps: Sequence[Mapping[str, Any]] = evaluation.details.get("steps", ())
    groups = len({item.group for item in items})
    lines = against_plain(figures, bundle.manifest.model.name)
    few = {name: f for name, f in figures.items() if not name.startswith("mse_step_")}
    fitted = bundle.manifest.recipe.get("learner") == "closed_form"
    return ForecastPage(
        headline=_headline(bundle, evaluation),
        cautions=_cautions(evaluation, groups),
        figures=figure_rows(few, "mse", {}),
        n=evaluation.n,
        groups=groups,
        plain_ways=[f"{words[:1].upper()}{words[1:]}." for words in lines],
        steps_plot=steps_plot(steps),
        steps=[_step_row(row) for row in steps] if 1 < len(steps) <= _STEPS_LISTED else [],
        stretches=stretch_plots(items, evaluation.answers, shown(evaluation.classes[0], 40)),
        column=shown(evaluation.classes[0]),
        ledger=ledger_of(tuple(ledger) or evaluation.ledger),
        learning=learning(epochs_of(history)),
        no_curve="Fitted at once, by least squares. It took no steps, so there is no curve to show." if fitted else "",
        making=making(bundle, None, None),
    )


def _step_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{row['step']}", *(f"{row[key]:.4g}" if key in row else "" for key in ("mse", "linear", "naive")))


def _headline(bundle: Bundle, evaluation: Evaluation) -> Headline:
    manifest, figure = bundle.manifest, evaluation.figures["mse"]
    names = [shown(name) for name in evaluation.classes]
    window, horizon = evaluation.details["window"], evaluation.details["horizon"]
    ahead = f"the next {horizon} steps" if horizon > 1 else "the next step"
    where = "" if evaluation.split == "all" else f" of {evaluation.split}"
    gain = evaluation.figures.get("gain_over_naive")
    words = f"Judged on {counted(evaluation.n, 'window')}{where}, none of which made it."
    words = words if not evaluation.seen else f"Judged on {counted(evaluation.n, 'window')}{where}."
    if gain is not None:
        words += f" Beside the last value again its mean squared error is {100 * gain.value:.1f}\xa0% lower"
        words += f" ({interval('gain_over_naive', gain)})." if interval("gain_over_naive", gain) else "."
    data = manifest.data
    rows = [
        ("Task", manifest.task),
        ("Model", in_words(manifest.model)),
        ("Sees", f"the last {window} steps"),
        ("Made", made_at(bundle)),
        ("Made from", f"{shown(str(data['name']))}: {data['train']:,} windows, and {data['validation']:,} to validate"),
        ("Judged on", counted(evaluation.n, "window") + where),
    ]
    return Headline(
        name=shown(bundle.path.name.removesuffix(".visto")),
        purpose=f"Foretells {ahead} of {counted(len(names), 'column')}",
        classes=names[:12],
        more=max(0, len(names) - 12),
        rest=names[12:300],
        beyond=max(0, len(names) - 300),
        figure=kind("mse").title,
        value=amount("mse", figure.value),
        interval=interval("mse", figure),
        words=words,
        rows=[(what, shown(how, 200)) for what, how in rows],
    )


def _cautions(evaluation: Evaluation, groups: int) -> list[Caution]:
    found: list[Caution] = []
    if evaluation.seen:
        words = f"{counted(evaluation.seen, 'window')} of these made the model, or chose when it stopped learning."
        found.append(Caution(grave=evaluation.split == "train", title="It has seen what it is judged on.", words=words))
    if evaluation.split == "validation":
        words = (
            "The bounds were fitted to these very windows, and the best epoch was chosen by the earlier half of them."
        )
        found.append(Caution(grave=False, title="Figures of the validation part are a little too good.", words=words))
    if groups < _FEW_GROUPS:
        words = f"Windows overlap; there are only {counted(groups, 'stretch', 'stretches')} of time to draw from."
        found.append(Caution(grave=False, title="The intervals may be too narrow.", words=words))
    for name, way in (("gain_over_naive", "the last value again"), ("gain_over_linear", "a linear forecast")):
        gain = evaluation.figures.get(name)
        if gain is not None and gain.value < 0:
            words = f"The mean squared error of {way} is lower here."
            found.append(Caution(grave=name == "gain_over_naive", title=f"It is worse than {way}.", words=words))
    coverage = evaluation.figures.get("coverage")
    if coverage is not None and coverage.high is not None and coverage.high < 0.85:
        words = f"The bounds promise 90 % and hold {percent(coverage.value)} here: the series has changed."
        found.append(Caution(grave=False, title="Its bounds are too narrow.", words=words))
    return found
