"""Calibration and abstaining, by hand."""

import pytest

from tests.report.conftest import evaluation_of, several_of
from visto.report.judged import class_counts, judged
from visto.report.sureness import calibration, coverage, thresholds

CATS = ("cat", "dog")


def test_bins_hold_what_was_claimed_and_what_came_true() -> None:
    known = calibration(judged(evaluation_of(CATS, [(0, 0, 0.9), (1, 0, 0.9), (0, 0, 0.9), (1, 1, 0.55)])))
    assert known is not None
    full = {k: b for k, b in enumerate(known.bins) if b.count}
    assert list(full) == [8, 13]  # 0.55 and 0.9, in fifteenths
    assert full[13].count == 3
    assert full[13].claimed == pytest.approx(0.9)
    assert full[13].right == pytest.approx(2 / 3)
    assert known.error == pytest.approx((3 * (0.9 - 2 / 3) + 0.45) / 4)
    assert known.claimed == pytest.approx(0.8125)
    assert known.right == 0.75


def test_the_error_is_that_of_the_figure() -> None:
    one = evaluation_of(CATS, [(k % 2, int(k % 3 == 0), 0.5 + k / 100) for k in range(50)])
    several = several_of(CATS, [((0,) if k % 3 else (), (k / 50, 0.3)) for k in range(50)])
    for found in (one, several):
        known = calibration(judged(found))
        assert known is not None
        assert known.error == pytest.approx(found.figures["ece"].value, abs=1e-6)


def test_scores_are_off_only_beyond_chance() -> None:
    few = calibration(judged(evaluation_of(CATS, [(0, 0, 0.7)] * 8 + [(1, 0, 0.7)] * 2)))
    many = calibration(judged(evaluation_of(CATS, [(0, 0, 0.9)] * 120 + [(1, 0, 0.9)] * 80)))
    assert few is not None and not few.off
    assert many is not None and many.off


def test_keeping_silent_on_the_least_sure() -> None:
    rows = [(0, 0, 0.99)] * 10 + [(1, 0, 0.8)] * 5 + [(0, 0, 0.8)] * 5
    curve = coverage(judged(evaluation_of(CATS, rows)))
    # what is equally sure is answered together or not at all
    assert [(k.count, k.right) for k in curve] == [(10, 1.0), (20, 0.75)]
    assert curve[0].threshold == pytest.approx(0.99)
    found = thresholds(judged(evaluation_of(CATS, rows)))
    assert [k.coverage for k in found] == [1.0, 0.5]


def test_several_labels_are_as_sure_as_their_least_sure_decision() -> None:
    looked = judged(several_of(CATS, [((0,), (0.9, 0.4)), ((1,), (0.8, 0.1)), ((), (0.2, 0.3))]))
    assert looked.sureness is not None
    assert looked.mistake is not None
    assert looked.right.tolist() == [True, False, True]
    assert looked.sureness.tolist() == pytest.approx([0.6, 0.8, 0.7])
    assert looked.mistake.tolist() == pytest.approx([0, 0.9, 0])  # surest that there is no dog
    assert coverage(looked) == []


def test_classes_are_counted_in_truth_and_answers() -> None:
    assert class_counts(evaluation_of(CATS, [(0, 1, 0.9), (0, 0, 0.9)])) == ([2, 0], [1, 1])
    assert class_counts(several_of(CATS, [((0, 1), (0.9, 0.1))])) == ([1, 1], [1, 0])
