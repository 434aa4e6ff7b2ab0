"""How the settings were chosen: what was tried, how much hangs on each choice, whether the winner is better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from visto.report.plot_tuning import Dot, Up, curves_plot, slice_plot, trials_plot
from visto.report.words import NBSP, amount, counted, kind, lowered, shown

_MOST = 200  # trials, choices: a page stays a page
_LETTERS = 52  # that have room below a plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Sentences, rows of (choice, default, winner, importance), plots and slices with their captions, and all trials.

    A row of ``trials`` is (number, what it tried, figure, how it ended).
    """

    words: Sequence[str]
    rows: Sequence[tuple[str, str, str, str]]
    plots: Sequence[tuple[Markup, str]]
    slices: Sequence[tuple[Markup, str]]
    title: str
    trials: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    number: int
    values: Mapping[str, Any]
    figure: float | None
    whole: bool
    why: str
    curve: Sequence[tuple[float, float]]


def tuned(content: Mapping[str, Any] | None) -> Tuning | None:
    """None where nothing was tuned, or nothing in it can be shown."""
    if content is None:
        return None
    trials = [t for t in map(_trial, _listed(content.get("trials"))) if t is not None][:_MOST]
    choices = [c for c in _listed(content.get("choices")) if isinstance(c, dict) and isinstance(c.get("name"), str)]
    choices = choices[:_MOST]
    with_figure = [t for t in trials if t.figure is not None]
    if not with_figure or not choices:
        return None
    name = content["figure"] if isinstance(content.get("figure"), str) else "figure"
    about = kind(name)
    up = Up(what=f"{lowered(about.title)}, held out", share=about.share, low_is_better=content.get("sense") == "min")
    best = content["best"] if isinstance(content.get("best"), int) else 0
    return Tuning(
        words=_words(content, choices, len(trials)),
        rows=[_row(choice) for choice in choices],
        plots=_plots(trials, best, up, about.title),
        slices=[each for k, choice in enumerate(choices) for each in _slice(k, choice, with_figure, up, about.title)],
        title=about.title,
        trials=[_line(trial, choices, name) for trial in trials],
    )


def _words(content: Mapping[str, Any], choices: Sequence[Mapping[str, Any]], trials: int) -> list[str]:
    told = shown(str(content.get("words") or ""), 600)
    said = [told[:1].upper() + told[1:]]
    learnt, held = _number(content.get("learnt")), _number(content.get("held_out"))
    if learnt and held:
        said.append(
            f"{counted(trials, 'trial')} learnt from {counted(int(learnt), 'training image')} and were judged on "
            f"{int(held):,} others; no trial looked at a validation or test image."
        )
    whole = _number(content.get("importance_from"))
    if whole and any(_number(choice.get("importance")) is not None for choice in choices):
        said.append(
            f"Importance is the share of the differences between trials that a choice accounts for (fANOVA), over the "
            f"{counted(int(whole), 'trial')} that went to their end: with so few it is rough."
        )
    return [f"{words}." if words[-1:].isalnum() else words for words in said if words]


def _row(choice: Mapping[str, Any]) -> tuple[str, str, str, str]:
    importance = _number(choice.get("importance"))
    share = "–" if importance is None or not 0 <= importance <= 1 else f"{100 * importance:.0f}{NBSP}%"
    return shown(choice["name"]), _written(choice.get("default")), _written(choice.get("winner")), share


def _plots(trials: Sequence[_Trial], best: int, up: Up, title: str) -> list[tuple[Markup, str]]:
    dots = [Dot(at=t.number, figure=t.figure, whole=t.whole) for t in trials if t.figure is not None]
    top = max((d.figure for d in dots if d.whole), default=None)
    words = f"{title} of {counted(len(dots), 'trial')}" + (f", at most {top:.4g}" if top is not None else "")
    plots = [
        (
            trials_plot(dots, up, words=words),
            "Trial by trial; the line is the best so far. Hollow: stopped before its end, so not comparable. What lies "
            "far below the others is drawn at the foot.",
        )
    ]
    curves = [trial.curve for trial in trials]
    if curves[0] and any(len(curve) > 1 for curve in curves):
        drawn = [k for k, curve in enumerate(curves) if curve]
        place = drawn.index(best) if best in drawn else 0
        plots.append(
            (
                curves_plot([curves[k] for k in drawn], place, up, words=f"{title} by epoch of each trial"),
                "Epoch by epoch: the best trial in full, the default dashed, the others thin.",
            )
        )
    return plots


def _slice(
    place: int, choice: Mapping[str, Any], trials: Sequence[_Trial], up: Up, title: str
) -> list[tuple[Markup, str]]:
    """One plot, or none where its values cannot be placed."""
    name = choice["name"]
    known = [(t, t.values.get(name)) for t in trials]
    options = [_written(option) for option in _listed(choice.get("options"))]
    dots = []
    for trial, value in known:
        at = float(options.index(_written(value))) if _written(value) in options else _number(value)
        if at is not None and trial.figure is not None and (options or at > 0):
            dots.append(Dot(at=at, figure=trial.figure, whole=trial.whole))
    if not dots:
        return []
    plot = slice_plot(
        f"slice-{place}",
        dots,
        [shown(option, max(4, _LETTERS // len(options))) for option in options] if options else [],
        up,
        title=shown(name),
        words=f"{title} against {shown(name)}",
    )
    return [(plot, f"{shown(name)}: a dot a trial; the other choices differ too.")]


def _line(trial: _Trial, choices: Sequence[Mapping[str, Any]], name: str) -> tuple[str, str, str, str]:
    differs = [
        f"{shown(c['name'])} {_written(trial.values[c['name']])}"
        for c in choices
        if c["name"] in trial.values and trial.values[c["name"]] != c.get("default")
    ]
    figure = "–" if trial.figure is None else amount(name, trial.figure)
    how = "to its end" if trial.whole else f"stopped: {shown(trial.why, 120)}"
    return str(trial.number), ", ".join(differs) or "the default", figure, how


def _trial(content: object) -> _Trial | None:
    if not isinstance(content, dict):
        return None
    number, values = _number(content.get("number")), content.get("values")
    if number is None or not isinstance(values, dict):
        return None
    points = [
        (_number(p[0]), _number(p[1])) for p in _listed(content.get("curve")) if isinstance(p, list) and len(p) == 2
    ]
    return _Trial(
        number=int(number),
        values=values,
        figure=_number(content.get("figure")),
        whole=content.get("outcome") == "complete",
        why=str(content.get("why") or ""),
        curve=[(x, y) for x, y in points if x is not None and y is not None],
    )


def _listed(content: object) -> list[Any]:
    return content if isinstance(content, list) else []


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _written(value: object) -> str:
    number = _number(value)
    if number is not None:
        return f"{number:.3g}"
    return shown(str(value)) if isinstance(value, str) else "–"
