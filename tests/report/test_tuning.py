"""How settings were chosen, on the page: words, tables and drawings from a made-up tuning."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.report.conftest import Read, evaluation_of
from visto.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from visto.report.plot_tuning import Dot, Up, curves_plot, slice_plot, span, trials_plot
from visto.report.tuning import tuned

Report = Callable[..., Read]


def trial(number: int, lr: float, kernel: int, figure: float | None, why: str = "") -> dict[str, Any]:
    outcome = "pruned" if why else "complete"
    curve = [[1, 0.5], [2, figure]] if figure is not None else []
    values = {"lr": lr, "kernel": kernel}
    return {"number": number, "outcome": outcome, "why": why, "values": values, "figure": figure, "curve": curve}


TUNING: dict[str, Any] = {
    "figure": "accuracy",
    "sense": "max",
    "learnt": 80,
    "held_out": 20,
    "importance_from": 3,
    "best": 2,
    "words": "the winner <is> better",
    "choices": [
        {"name": "lr", "default": 0.01, "winner": 0.03, "importance": 0.75, "options": None},
        {"name": "kernel", "default": 3, "winner": 5, "importance": 0.25, "options": [3, 5, 7]},
    ],
    "trials": [
        trial(0, 0.01, 3, 0.8),
        trial(1, 0.1, 7, 0.6, "worse than half of the others had been"),
        trial(2, 0.03, 5, 0.9),
        trial(3, 0.001, 5, None, "its loss became infinite"),
        trial(4, 0.02, 3, 0.85),
    ],
}


def some() -> Any:
    return evaluation_of(["cat", "dog"], [(0, 0, 0.9), (1, 0, 0.8)] * 10)


def test_a_tuning_is_shown(report: Report) -> None:
    page = report(some(), tuning=TUNING)
    assert "How its settings were chosen" in page.said
    assert "The winner <is> better." in page.said
    assert "lr 0.01 0.03 75 %" in page.said
    assert "kernel 3 5 25 %" in page.said
    assert "5 trials learnt from 80 training images and were judged on 20 others" in page.said
    assert "over the 3 trials that went to their end: with so few it is rough" in page.said
    assert "lr 0.03, kernel 5 90.0 % to its end" in page.said
    assert "– stopped: its loss became infinite" in page.said
    titles = [attributes.get("id", "") for attributes in page.all("title")]
    assert {"tuning-trials-t", "tuning-curves-t", "slice-0-t", "slice-1-t"} <= set(titles)
    assert len(titles) == len(set(titles))


def test_where_nothing_was_tuned_nothing_is_said(report: Report) -> None:
    assert "How its settings were chosen" not in report(some()).said


@pytest.mark.parametrize("key", list(TUNING))
@pytest.mark.parametrize("value", [None, 3, "x", [], [None, 3, "x", {}], {"a": 1}])
def test_what_is_not_as_it_should_be_is_left_out(key: str, value: Any) -> None:
    tuned({**TUNING, key: value})
    tuned({name: content for name, content in TUNING.items() if name != key})
    for part in ("choices", "trials"):
        for name in TUNING[part][0]:
            broken = copy.deepcopy(TUNING)
            broken[part][0][name] = value
            tuned(broken)


def dots(svg: str, kind: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(rf'class="{kind}" cx="([^"]*)" cy="([^"]*)"', svg)]


UP = Up(what="figure", share=False, low_is_better=False)
THREE = [Dot(at=1, figure=0.5, whole=True), Dot(at=10, figure=0.9, whole=False), Dot(at=100, figure=0.7, whole=True)]


def test_dots_stand_where_their_values_are() -> None:
    svg = slice_plot("s", THREE, (), UP, title="lr", words="words")
    (left, _), (right, upper) = dots(svg, "value")
    ((middle, top),) = dots(svg, "hollow")
    assert (left, middle, right) == (LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT)
    assert TOP < top < upper < HEIGHT - BOTTOM
    assert ">10<" in svg
    named = slice_plot("s", [Dot(at=1, figure=0.5, whole=True)], ["relu", "<b>"], UP, title="t", words="words")
    assert "&lt;b&gt;" in named
    assert dots(named, "value")[0][0] == pytest.approx(LEFT + 0.75 * (WIDTH - RIGHT - LEFT))


def test_the_best_so_far_only_rises() -> None:
    svg = trials_plot(THREE, UP, words="words")
    found = re.search(r'class="curve a" points="([^"]*)"', svg)
    assert found is not None
    ys = [float(pair.split(",")[1]) for pair in found[1].split()]
    assert ys == sorted(ys, reverse=True)  # down on the page is up on the axis
    assert len(ys) == 3


def test_default_and_best_are_drawn_over_the_others() -> None:
    curves = [[(1.0, 0.5), (2.0, 0.6)], [(1.0, 0.4), (2.0, 0.5)], [(1.0, 0.6), (2.0, 0.8)]]
    svg = curves_plot(curves, 2, UP, words="words")
    assert re.findall(r'polyline class="([^"]*)"', svg) == ["faint", "curve b", "curve a"]
    assert re.findall(r'polyline class="([^"]*)"', curves_plot(curves, 0, UP, words="w")) == [
        "faint",
        "faint",
        "curve a",
    ]


def test_what_is_far_below_does_not_hide_the_rest() -> None:
    assert span([0.1, 0.9, 0.92, 0.94], low_is_better=False) == (0.82, 0.94)
    assert span([0.9, 0.8], low_is_better=False) == (0.8, 0.9)
    assert span([9.0, 0.3, 0.2, 0.1], low_is_better=True) == (0.1, 0.7)
    assert span([0.5, 0.5], low_is_better=False) == (0.5, 0.5)
