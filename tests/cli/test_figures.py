"""Tables for a person to read."""

from visto.cli.figures import class_rows, confusion, rows_of, worst_groups
from visto.evaluation import Group
from visto.types import Figure


def test_a_few_classes_show_the_whole_matrix() -> None:
    assert confusion(["cat", "dog"], [[11, 2], [0, 140]]).splitlines() == [
        "taken for (a row is a true class):",
        "       cat  dog",
        "  cat   11    2",
        "  dog    .  140",
    ]


def test_long_names_become_numbers_in_the_headings() -> None:
    names = [f"a breed with a rather long name {k}" for k in range(4)]
    lines = confusion(names, [[1000 * (k == j) for j in range(4)] for k in range(4)]).splitlines()
    assert lines[1].split() == ["1", "2", "3", "4"]
    assert lines[2].startswith("   1 a breed with a rather long name 0  1000  ")
    assert len({len(line) for line in lines[1:]}) == 1


def test_names_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in confusion(["\x1b[31m", "b"], [[1, 0], [0, 1]])
    assert "\x1b" not in confusion(["\x1b[31m"] * 13, [[int(k != j) for k in range(13)] for j in range(13)])


def test_many_classes_show_the_most_frequent_confusions() -> None:
    names = [f"c{k}" for k in range(13)]
    counts = [[0] * 13 for _ in names]
    assert confusion(names, counts) == "no class is taken for another"
    counts[3][3], counts[3][4], counts[7][0] = 90, 14, 1
    assert confusion(names, counts).splitlines() == [
        "most often taken for another:",
        "  c3 taken for c4  14 times  of 104",
        "  c7 taken for c0  1 time    of 1",
    ]
    full = [[k + 1 for k in range(13)] for _ in names]
    assert len(confusion(names, full).splitlines()) == 11


def test_the_worst_groups_only() -> None:
    figures = {"recall/a": Figure(value=1.0), "accuracy": Figure(value=0.5, low=0.25, high=0.75)}
    groups = [Group(name=f"g{k}", n=1000 + k, figures=figures) for k in range(100)]
    lines = worst_groups(groups).splitlines()
    assert lines[0] == "100 groups, the worst 8 of them (the rest with --json):"
    assert lines[1].split() == ["group", "images", "accuracy"]
    assert lines[2] == "  g0     1,000   0.5000 (0.2500 to 0.7500)"
    assert len(lines) == 10
    assert worst_groups(groups[:2]).startswith("2 groups, the worst first:")


def test_the_best_known_figure_comes_first() -> None:
    one = Figure(value=1.0)
    assert [name for name, _ in rows_of({"ece": one, "new": one, "f1/a": one, "kappa": one, "accuracy": one})] == [
        "accuracy",
        "kappa",
        "ece",
        "new",
    ]
    assert class_rows({"accuracy": one}) == []
    assert class_rows({"f1/a": one, "recall/a": one})[1] == ("a", "1.0000", "1.0000")
