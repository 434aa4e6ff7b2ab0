"""The figures of each group: a weight for its images and none for the others, the worst group first."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

import visto.evaluation.groups
from visto.evaluation.groups import judge_groups
from visto.evaluation.judge import filled
from visto.tasks.classification import Classification
from visto.types import Answer, Figure, Label

TASK = Classification(classes=("a", "b", "c"))

Rows = list[tuple[int, int, str | None]]


def answers(rows: Rows) -> tuple[list[Answer[Label]], list[Label], list[str | None]]:
    """Of (answer, truth, group)."""
    scores = torch.eye(3) * 0.7 + 0.1
    said = [Answer(value=Label(index=k, scores=scores[k])) for k, _, _ in rows]
    return said, [Label(index=k) for _, k, _ in rows], [group for _, _, group in rows]


def test_by_hand() -> None:
    rows: Rows = [(0, 0, "x"), (0, 0, "x"), (1, 0, "x"), (1, 1, "y"), (2, 2, None), (0, 2, "y")]
    worst, best = judge_groups(TASK, *answers(rows))
    assert (worst.name, worst.n, best.name, best.n) == ("y", 2, "x", 3)
    assert set(worst.figures) == {"accuracy", "top2_accuracy", "recall/b", "recall/c"}
    expected = binomtest(2, 3).proportion_ci(method="wilson")
    figure = best.figures["accuracy"]
    assert (figure.value, figure.low, figure.high) == pytest.approx((2 / 3, expected.low, expected.high))
    assert best.figures["recall/a"] == figure
    assert worst.figures["recall/c"].value == 0
    assert worst.to_json()["group"] == "y"


def test_a_large_group_half_wrong_is_worse_than_one_wrong_image() -> None:
    rows: Rows = [*((0, k % 2, "large") for k in range(40)), (0, 1, "single"), *[(0, 0, "good")] * 9]
    assert [group.name for group in judge_groups(TASK, *answers(rows))] == ["large", "single", "good"]


def test_no_table_without_groups_or_with_groups_of_one_image() -> None:
    assert judge_groups(TASK, *answers([(0, 0, None), (0, 1, None)])) == ()
    assert judge_groups(TASK, *answers([(0, 0, "x"), (0, 1, "y"), (0, 1, None)])) == ()
    assert judge_groups(TASK, *answers([])) == ()


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["x", "y", "z", None])), min_size=1),
    at_once=st.integers(1, 4),
)
def test_a_group_is_the_data_without_the_others(rows: Rows, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visto.evaluation.groups, "_GROUPS_AT_ONCE", at_once)
        found = judge_groups(TASK, *answers(rows))
    assert sum(group.n for group in found) in (0, sum(group is not None for _, _, group in rows))
    for group in found:
        own, targets, _ = answers([row for row in rows if row[2] == group.name])
        values = {name: v for metric in filled(TASK, own, targets) for name, v in metric.compute().items()}
        assert group.n == len(own)
        # no recall where nothing is to be found, though the class was answered
        assert all(figure.value == pytest.approx(values[name]) for name, figure in group.figures.items())
        present = {f"recall/{TASK.classes[t.index]}" for t in targets}
        assert {name for name in group.figures if "/" in name} == present


def test_hundreds_of_groups() -> None:
    rows: Rows = [(k % 3, k % 3 if k % 5 else 0, f"patient {k % 300}") for k in range(1500)]
    found = judge_groups(TASK, *answers(rows))
    assert len(found) == 300
    highs = [group.figures["accuracy"].high for group in found]
    assert highs == sorted(highs, key=lambda high: high or 0.0)
    assert all(isinstance(figure, Figure) for group in found for figure in group.figures.values())
