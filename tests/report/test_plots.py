"""Drawings, point by point, from values worked out by hand."""

import re

import pytest
from markupsafe import Markup

from visto.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, frame
from visto.report.plot_coverage import coverage_plot
from visto.report.plot_growth import Point, growth_plot
from visto.report.plot_interval import interval_bar
from visto.report.plot_lines import Line, lines_plot
from visto.report.plot_reliability import reliability_plot
from visto.report.sureness import Bin, Kept
from visto.report.svg import Scale, drawing, element, label, place
from visto.types import Figure

Places = list[tuple[float, float]]


def points(svg: str, kind: str) -> Places:
    """The points of the first line or polygon of a class."""
    found = re.search(rf'class="{kind}" points="([^"]*)"', svg)
    assert found is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def dots(svg: str, kind: str) -> Places:
    return [(float(x), float(y)) for x, y in re.findall(rf'class="{kind}" cx="([^"]*)" cy="([^"]*)"', svg)]


def lines(svg: str, kind: str) -> list[tuple[float, ...]]:
    found = re.findall(rf'class="{kind}" x1="([^"]*)" y1="([^"]*)" x2="([^"]*)" y2="([^"]*)"', svg)
    return [tuple(map(float, each)) for each in found]


def test_an_interval_on_its_scale() -> None:
    svg = interval_bar("x", Figure(value=0.95, low=0.92, high=1.0), low=0.9, high=1, ends=("90 %", "100 %"), words="w")
    # the track runs from 7 to 213, so a tenth of the scale is 20.6
    assert lines(svg, "band") == [(48.2, 9, 213, 9)]
    assert dots(svg, "value") == [(110, 9)]
    bare = interval_bar("x", Figure(value=0.95), low=0.9, high=1, ends=("", ""), words="w")
    assert not lines(bare, "band")


def test_the_corners_of_a_frame() -> None:
    area = frame(Axis(low=0, high=10, ticks=[], words=""), Axis(low=0, high=1, ticks=[], words=""))
    assert area.at(0, 0) == (LEFT, HEIGHT - BOTTOM)
    assert area.at(10, 1) == (WIDTH - RIGHT, TOP)
    assert area.at(5, 0.5) == ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
    assert area.at(99, -3) == (WIDTH - RIGHT, HEIGHT - BOTTOM)  # what lies beyond stays inside


def test_calibration_has_a_dot_and_a_whisker_for_each_bin_with_answers() -> None:
    full = Bin(low=0.4, high=0.6, count=4, claimed=0.5, right=0.75, least=0.25, most=1.0)
    empty = Bin(low=0.6, high=0.8, count=0, claimed=float("nan"), right=float("nan"), least=float("nan"), most=1.0)
    svg = reliability_plot([full, empty], what="right", words="words")
    middle = (LEFT + WIDTH - RIGHT) / 2
    # y runs from 196 (0 %) up to 30 (100 %)
    assert dots(svg, "value") == [(middle, 196 - 0.75 * 166)]
    assert lines(svg, "whisker") == [(middle, 196 - 0.25 * 166, middle, 30)]
    assert lines(svg, "ideal") == [(LEFT, 196, WIDTH - RIGHT, 30)]
    assert "nan" not in svg


def test_coverage_is_a_band_around_a_line() -> None:
    kept = [
        Kept(coverage=0.5, count=5, threshold=0.9, right=1.0, low=0.6, high=1.0),
        Kept(coverage=1.0, count=10, threshold=0.4, right=0.75, low=0.5, high=0.9),
    ]
    svg = coverage_plot(kept, what="right", words="words")
    assert points(svg, "curve a") == [(224, 30), (396, 142)]  # the scale begins at 50 %
    assert points(svg, "area") == [(224, 30), (396, 74.8), (396, 254), (224, 209.2)]


def test_lines_by_epoch() -> None:
    one = Line(name="training", points=[(1, 4.0), (2, 2.0), (3, 1.0)])
    two = Line(name="validation", points=[(1, 2.0), (3, 0.0)])
    svg = lines_plot("x", [one, two], title="t", words="w", what="loss", share=False, best=2)
    assert points(svg, "curve a") == [(52, 30), (224, 142), (396, 198)]
    assert points(svg, "curve b") == [(52, 142), (396, 254)]
    assert dots(svg, "value") == [(396, 198)]
    assert "training" in svg
    assert "validation" in svg


@pytest.mark.parametrize("values", [[], [(1.0, 0.5)], [(1.0, 0.5), (2.0, 0.5)], [(5.0, 0.0)]])
def test_lines_of_hardly_anything(values: Places) -> None:
    for share in (True, False):
        svg = lines_plot("x", [Line(name="a", points=values)], title="t", words="w", what="y", share=share)
        assert "nan" not in svg


def test_a_line_of_very_many_points_keeps_its_ends() -> None:
    many = [(float(k), k / 10_000) for k in range(1, 10_001)]
    found = points(lines_plot("x", [Line(name="a", points=many)], title="", words="", what="", share=True), "curve a")
    assert len(found) == 300
    assert found[0][0] == LEFT
    assert found[-1][0] == WIDTH - RIGHT


def test_growth_ends_in_a_hollow_forecast() -> None:
    measured = [Point(images=50, value=0.5), Point(images=100, value=0.6, low=0.5, high=0.7)]
    svg = growth_plot(measured, Point(images=200, value=0.7), what="accuracy", words="w", share=True)
    # from 0 to 200 images, and from 0.483 to 0.717
    assert [x for x, _ in dots(svg, "value")] == [138, 224]
    assert [x for x, _ in dots(svg, "hollow")] == [396]
    (whisker,) = lines(svg, "whisker")
    assert (whisker[0], whisker[2]) == (224, 224)
    assert whisker[1] == pytest.approx(254 - 224 * 0.017 / 0.234, abs=0.01)
    assert growth_plot(measured[:1], None, what="", words="", share=False)


def test_words_in_a_drawing_are_escaped() -> None:
    bad = "<script>\"&'"
    for svg in (label(f"m {bad}", (1, 2), bad), drawing("x", 1, 1, title=bad, words=bad, parts=[bad])):
        assert "<script" not in svg
        assert isinstance(svg, Markup)
    assert element("g", {"class": 'a"b'}) == '<g class="a&#34;b"></g>'


def test_scales_and_places() -> None:
    assert Scale(1, 1, 0, 10)(1) == 5  # no span: the middle
    assert [place(v) for v in (1e-9, -1e-9, 1.005, 100.0)] == ["0", "0", "1", "100"]
