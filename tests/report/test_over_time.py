"""What the page shows of clips and series: which are chosen, their scores on the way, and the moments that mattered."""

import re
from collections.abc import Callable

import pytest
import torch

from tests.report.conftest import Read, evaluation_of, sequence_bundle_of, sequences_of
from tests.report.test_page import some
from visto.report.in_time import Check
from visto.report.judged import judged
from visto.report.over_time import chosen
from visto.report.plot_time import falls_plot, series_plot

Report = Callable[..., Read]
MOVES = ("up", "down", "wait")
# truth, answer, score: three wrong of nine
ROWS = [
    (0, 0, 0.9),
    (0, 1, 0.6),
    (1, 1, 0.8),
    (0, 0, 0.7),
    (2, 2, 0.5),
    (1, 2, 0.95),
    (0, 0, 0.6),
    (2, 0, 0.7),
    (1, 1, 1),
]


def test_the_surest_mistakes_come_first_then_each_class_in_turn() -> None:
    looked = judged(evaluation_of(MOVES, ROWS))
    assert chosen(looked) == [5, 7, 1, 0, 2, 4, 3, 8, 6]
    many = judged(evaluation_of(MOVES, [(0, 1, 0.5 + k / 100) for k in range(20)] + [(2, 2, 0.9)] * 20))
    assert chosen(many) == [19, 18, 17, 16, 15, 14, *range(20, 26)]


def test_a_page_on_clips(report: Report) -> None:
    page = report(sequences_of(MOVES, ROWS), bundle=sequence_bundle_of("cnn_lstm", MOVES, width=4, depth=1))
    for words in (
        "From frame to frame",
        "Answers over time 9 clips of those judged: the surest mistakes first",
        "Frames that mattered",
        "nothing happens in one frame",
        "over the 9 clips shown",
        "frame looked at (each 2nd frame)",
        "is down",
        "said wait",
        "each 2nd frame at 8×8 pixels, grey",
        "Of 9 clips",
        "visto predict cats.visto clips/",
        "visto predict cats.visto clip.mp4 --stream",
        "What became of every clip and file",
        "The pictures are middle frames.",
    ):
        assert words in page.said
    assert not re.search(r"\bimages?\b", page.said)
    strips = [a["alt"] for a in page.all("img") if a["alt"].startswith("frame")]
    assert len(strips) == 9 * 9
    assert strips[:2] == ["frame 1 of 9", "frame 2 of 9"]
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_a_page_on_series(report: Report) -> None:
    bundle = sequence_bundle_of("lstm", MOVES, over="steps")
    page = report(sequences_of(MOVES, ROWS, steps=70, numbers=2), bundle=bundle)
    for words in (
        "From step to step",
        "9 series of those judged",
        "nothing happens in a short stretch",
        "2 numbers a step",
        "What became of every series",
    ):
        assert words in page.said
    assert not re.search(r"\bimages?\b", page.said)
    assert not page.all("img")
    assert len([a for a in page.all("polyline") if a["class"] == "signal s1"]) == 9
    assert "Below, its numbers by their place, each between its own least and largest." in page.said


def test_without_samples_only_scores_are_drawn(report: Report) -> None:
    clips = report(
        sequences_of(MOVES, ROWS), bundle=sequence_bundle_of("cnn_lstm", MOVES, width=4, depth=1), samples=False
    )
    assert not clips.all("img")
    assert "Their frames are left out, as asked" in clips.said
    series = report(
        sequences_of(MOVES, ROWS, numbers=2), bundle=sequence_bundle_of("gru", MOVES, over="steps"), samples=False
    )
    assert "Their numbers are left out, as asked" in series.said
    assert not [a for a in series.all("polyline") if a["class"].startswith("signal")]
    assert len([a for a in series.all("polyline") if a["class"] == "curve b"]) >= 3


def test_both_ways_there_are_no_scores_on_the_way(report: Report) -> None:
    bundle = sequence_bundle_of("gru", MOVES, over="frames", bidirectional=True)
    page = report(sequences_of(MOVES, ROWS), bundle=bundle)
    assert "reads from both ends at once" in page.said
    assert "Scores over time" not in page.said
    assert "stream" not in page.said
    assert "What mattered" in page.said


def test_images_and_a_single_clip(report: Report) -> None:
    assert "mattered" not in report(some()).said
    bundle = sequence_bundle_of("gru", MOVES, over="frames")
    page = report(sequences_of(MOVES, [(0, 0, 0.9)], steps=2), bundle=bundle)
    assert "1 clip of those judged: right answers" in page.said
    assert "With fewer than 5 to go by, that may be chance" in page.said


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([(0.5, 0.1), (0.4, 0.0), (0.6, 0.2)] * 3, "the bars point at what matters."),
        ([(0.03, 0.0), (0.02, 0.0)] * 5, "the answers rest on many frames"),
        ([(0.1, 0.2), (0.2, 0.1)] * 5, "no better than chance"),
    ],
)
def test_it_says_how_far_to_believe_it(
    report: Report, monkeypatch: pytest.MonkeyPatch, checks: list[tuple[float, float]], words: str
) -> None:
    given = iter([Check(important=important, random=random) for important, random in checks])
    monkeypatch.setattr("visto.report.over_time.check", lambda *_: next(given))
    page = report(sequences_of(MOVES, ROWS), bundle=sequence_bundle_of("gru", MOVES, over="frames"))
    assert words in page.said


def test_numbers_that_never_change_and_bars_of_no_height_are_drawn() -> None:
    assert "nan" not in series_plot("a", torch.zeros(5, 8), words="still")
    drawn = falls_plot("b", [(0, 1), (1, 3)], torch.zeros(2), ends=(-0.1, 0.1), axis="step", words="nothing")
    assert "<rect" not in drawn
    assert "nan" not in drawn
