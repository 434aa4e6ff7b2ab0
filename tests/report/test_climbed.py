"""The ladder: drawn, in a table, and where its rows are not what a run writes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.report.conftest import HISTORY, Read, bundle_of, evaluation_of
from tests.report.test_plots import dots, lines
from visto.report.climbed import climbed
from visto.report.figures import monitored
from visto.report.plot_ladder import Mark, ladder_plot

Report = Callable[..., Read]
CATS = ("cat", "dog")


def row(name: str, value: float | None, seconds: float = 1.0, **more: Any) -> Mapping[str, Any]:
    figure = None if value is None else {"value": value, "low": value - 0.02, "high": value + 0.02}
    plain = {"kept": False, "bytes": 2_345_678, "figure": "accuracy" if figure else "", "difference": None}
    return {"name": name, "words": f"words on {name}", "seconds": seconds, "value": figure, **plain, **more}


RUNGS = [
    row("majority class", 0.1, 0.0, kept=True, bytes=40),
    row("logistic on raw", 0.9, 2.0, kept=True),
    row("forest on raw", 0.9, 40.0),
    row("svm on raw", None),
    row("small CNN", 0.96, 60.0, kept=True),
]
LADDER = {"rungs": RUNGS, "best": "small CNN", "words": "small CNN is the best <for its price>"}


def test_the_ladder_is_shown(report: Report) -> None:
    bundle = bundle_of(CATS)
    bundle = replace(bundle, manifest=replace(bundle.manifest, recipe={**bundle.manifest.recipe, "ladder": LADDER}))
    found = evaluation_of(CATS, [(0, 0, 0.9), (1, 1, 0.9)] * 20)
    page = report(found, bundle=bundle, history=[{"rung": r["name"], **r} for r in RUNGS] + list(HISTORY))
    for words in (
        "Small CNN is the best <for its price>.",
        "Number 1 lies far below, at 10.0 %",
        "Left out: svm on raw.",
        "words on forest on raw",
        "94.0 to 98.0 %",
        "2.3 MB",
        "40 B",
        "best after epoch 2",
    ):
        assert words in page.said, words
    assert [a["class"] for a in page.all("tr") if "class" in a][:5] == [
        f"is-{state}" for state in ("kept", "kept", "passed", "left", "best")
    ]
    # the rows of rungs are no epochs
    assert re.findall(r'<tr><th scope="row">([^<]*)</th><td class="n">\d\.\d{3}</td>', page.text) == ["1", "2", "3"]


def test_there_is_none_without_a_ladder(report: Report) -> None:
    assert "The ladder" not in report(evaluation_of(CATS, [(0, 0, 0.9), (1, 1, 0.9)])).said


def test_dots_stand_where_they_should() -> None:
    marks = [
        Mark(number=1, seconds=1, value=0.1, low=0.1, high=0.1, kind="kept"),
        Mark(number=2, seconds=10, value=0.8, low=0.79, high=0.81, kind="kept"),
        Mark(number=3, seconds=100, value=0.9, low=0.89, high=0.91, kind="best"),
        Mark(number=4, seconds=100, value=0.85, low=0.84, high=0.86, kind="passed"),
    ]
    svg = ladder_plot(marks, what="accuracy", words="w", share=True)
    # two powers of ten with a rim of 0.12 on either side: 52 to 396, so 153.57 a power; the first lies at the edge
    assert [x for x, _ in dots(svg, "value")] == [pytest.approx(224), pytest.approx(377.57, abs=0.01)]
    assert dots(svg, "ring") == [dots(svg, "value")[1]]
    assert dots(svg, "hollow")[0][0] == dots(svg, "ring")[0][0]
    assert len(lines(svg, "whisker")) == 3
    assert svg.count("<polygon") == 1
    assert re.findall(r'class="tick m"[^>]*>([^<]*)<', svg) == ["1", "10", "100"]


@pytest.mark.parametrize("seconds", [[1.0], [0.0, 0.0], [1e6, 0.0, 3.0], [3.0, 4.0, 5.0]])
def test_of_hardly_any_rungs(seconds: list[float]) -> None:
    marks = [Mark(number=k, seconds=s, value=0.5, low=0.5, high=0.5, kind="kept") for k, s in enumerate(seconds)]
    for share in (True, False):
        assert "nan" not in ladder_plot(marks, what="", words="", share=share)


def test_what_no_run_writes_is_left_out() -> None:
    nothing: list[Any] = [None, 3, {}, {"rungs": 3}, {"rungs": []}, {"rungs": [3, {"name": 4}]}]
    for ladder in nothing:
        assert climbed({"ladder": ladder}) is None
    odd = [
        {"name": "a"},
        {"name": "b", "value": {"value": 10**400}, "seconds": "long", "words": None},
        {"name": "c", "value": {"value": 0.5, "low": None, "high": None}, "seconds": 10**400, "bytes": None},
        {"name": "d", "value": {"value": 0.5, "low": -1e300, "high": 1e300}},
    ]
    found = climbed({"ladder": {"rungs": odd, "best": ["c"]}})
    assert found is not None
    assert [rung.state for rung in found.rungs] == ["left", "left", "passed", "left"]
    assert found.words == ""


def test_what_was_watched_is_known_from_the_rungs() -> None:
    assert monitored([{"rung": "a", "figure": ""}, {"rung": "b", "figure": "auroc"}]) == "auroc"
    assert monitored([{"rung": "b", "figure": 3}]) is None
