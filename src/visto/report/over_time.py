"""Single clips and series from their first step to their last: the scores on the way, and the moments that mattered."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Generator, Tensor

from visto.bundle import Bundle
from visto.data.loader import gather
from visto.evaluation import Evaluation
from visto.prediction import TorchRecogniser
from visto.quantities import frames_words
from visto.report.in_time import ENOUGH, Check, Span, advantage, check, falls, spans_of
from visto.report.judged import Judged
from visto.report.mistakes import Shown, shown_as
from visto.report.pictures import Picture, picture
from visto.report.plot_time import MOST_LINES, falls_plot, scale_of, scores_plot, series_plot
from visto.report.watching import watching
from visto.report.words import counted, decimal, shown

MOST_WRONG = 6
MOST_SHOWN = 12
MOST_FRAMES = 10
_SMALL = 96  # pixels a side of a frame in a strip
_NAME = 16
_SEEN = 0.0005  # a difference of scores that three digits show
_LITTLE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One sequence: its scores drawn (None: known at its end only), its frames or its numbers, and what mattered."""

    shown: Shown
    right: bool
    scores: Markup | None
    strip: Sequence[tuple[Picture, str]]
    series: Markup | None
    bars: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """Some sequences told, what they are, and how far what is said to matter can be believed."""

    told: Sequence[Told]
    steps: str
    at_the_end: bool
    lines: str
    windows: bool
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    row: int
    steps: Tensor
    along: Tensor | None
    spans: Sequence[Span]
    falls: Tensor
    check: Check


def over_time(bundle: Bundle, evaluation: Evaluation, looked: Judged, *, samples: bool) -> OverTime | None:
    """None of images, and of answers that are no scored classes. Without ``samples`` no frame or number is shown."""
    if evaluation.pixels.offsets is None or not looked.single or looked.sureness is None:
        return None
    recogniser = TorchRecogniser(bundle)
    watched = [_watch(recogniser, evaluation, looked, row) for row in chosen(looked)]
    ends = scale_of([one.falls for one in watched])
    word = "step" if looked.noun == "series" else "frame"
    every = bundle.manifest.preprocess.arguments.get("every", 1)
    axis = word if every <= 1 else f"{word} looked at ({frames_words(every)})"
    numbers = watched[0].steps.shape[1]
    first = f"its first {MOST_LINES} of {numbers} numbers" if numbers > MOST_LINES else "its numbers by their place"
    return OverTime(
        told=[_told(one, evaluation, looked, ends, axis, samples) for one in watched],
        steps=word,
        at_the_end=watched[0].along is None,
        lines=first if samples and looked.noun == "series" else "",
        windows=any(len(one.spans) < len(one.steps) for one in watched),
        check=_check_words([one.check for one in watched], looked, word),
    )


def chosen(looked: Judged) -> list[int]:
    """The rows to show: up to six of the surest mistakes, then right answers of each class in turn, as they come."""
    assert looked.mistake is not None  # noqa: S101  (the caller has asked for scores)
    wrong = (~looked.right).nonzero().flatten()
    rows: list[int] = wrong[looked.mistake[wrong].argsort(descending=True, stable=True)][:MOST_WRONG].tolist()
    of_class: dict[int, list[int]] = {}
    for row in looked.right.nonzero().flatten().tolist():
        of_class.setdefault(looked.targets[row].index, []).append(row)
    turns = [(turn, k, row) for k, own in of_class.items() for turn, row in enumerate(own[:MOST_SHOWN])]
    return rows + [row for _, _, row in sorted(turns)][: MOST_SHOWN - len(rows)]


def _watch(recogniser: TorchRecogniser, evaluation: Evaluation, looked: Judged, row: int) -> _Watched:
    steps = gather(evaluation.pixels, torch.tensor([row]))[0]
    seen, answer = watching(recogniser, steps), looked.answers[row].value.index
    spans = spans_of(len(steps))
    found = falls(seen.judge, len(steps), spans, answer)
    random = Generator().manual_seed(row)
    return _Watched(
        row=row,
        steps=steps,
        along=seen.along(),
        spans=spans,
        falls=found,
        check=check(seen.judge, len(steps), spans, found, answer, random),
    )


def _told(
    one: _Watched, evaluation: Evaluation, looked: Judged, ends: tuple[float, float], axis: str, samples: bool
) -> Told:
    about = shown_as(evaluation, looked, one.row, None)
    right, name, clip = bool(looked.right[one.row]), f"time-{one.row}", one.steps.ndim == 4
    most = int(one.falls.argmax())
    start, stop = one.spans[most]
    where = f"{start + 1}" if stop == start + 1 else f"{start + 1} to {stop}"
    return Told(
        shown=about,
        right=right,
        scores=_scores(one.along, evaluation, looked, one.row, about) if one.along is not None else None,
        strip=_strip(one.steps) if clip and samples else [],
        series=series_plot(f"{name}-numbers", one.steps, words=about.words) if not clip and samples else None,
        bars=falls_plot(
            f"{name}-bars",
            one.spans,
            one.falls,
            ends=ends,
            axis=axis,
            words=f"The score of {about.answer} falls most, by {decimal(float(one.falls[most]))}, at {where}.",
        ),
    )


def _scores(along: Tensor, evaluation: Evaluation, looked: Judged, row: int, about: Shown) -> Markup:
    said, true = looked.answers[row].value.index, looked.targets[row].index
    lines = [(f"is {shown(evaluation.classes[true], _NAME)}", along[:, true])]
    words = f"The score of {about.truth} ends at {decimal(float(along[-1, true]))}"
    if said != true:
        lines.append((f"said {shown(evaluation.classes[said], _NAME)}", along[:, said]))
        words += f", that of {about.answer} at {decimal(float(along[-1, said]))}"
    return scores_plot(f"time-{row}-scores", lines, words=f"{words}.")


def _strip(steps_tchw: Tensor) -> list[tuple[Picture, str]]:
    """Up to ten frames, each from the middle of its part of the clip, with what it is."""
    t = len(steps_tchw)
    count = min(t, MOST_FRAMES)
    places = [(2 * k + 1) * t // (2 * count) for k in range(count)]
    return [(picture(steps_tchw[place], _SMALL), f"frame {place + 1} of {t}") for place in places]


def _check_words(checks: Sequence[Check], looked: Judged, word: str) -> str:
    """Whether what is said to matter matters more than what is taken by chance."""
    important = sum(one.important for one in checks) / len(checks)
    random = sum(one.random for one in checks) / len(checks)
    more = advantage(checks)
    first = (
        f"Asked in another way than they were made, over the {counted(len(checks), looked.noun)} shown: with the most "
        f"important tenth of the {word}s replaced by the {word}s after them, the score of the answer falls by "
        f"{_signed(important)} on average; with as many at random (five times, seeded), by {_signed(random)}."
    )
    if more.low is None or more.high is None:
        return f"{first} With fewer than {ENOUGH} to go by, that may be chance."
    gap = f"The difference is {_signed(more.value)} ({_signed(more.low)} to {_signed(more.high)}, 95\xa0% interval)"
    if more.low < _SEEN:
        return f"{first} {gap}: on these {looked.nouns} the bars are no better than chance. Read nothing into them."
    if important < _LITTLE:
        return (
            f"{first} {gap}: the bars point at what matters most, but that is little: the answers rest on many {word}s."
        )
    return f"{first} {gap}: the bars point at what matters."


def _signed(value: float) -> str:
    """Three digits, with a true minus.

    >>> _signed(-0.0123), _signed(-0.00001)
    ('−0.012', '0.000')
    """
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", "−")
