"""Each rule speaks when it should, and only then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from tests.report.conftest import HISTORY, Read, bundle_of, evaluation_of
from visto.data.ledger import Entry
from visto.evaluation import Evaluation

Report = Callable[..., Read]
CATS = ("cat", "dog")


def good(n: int = 400, classes: Sequence[str] = CATS) -> Evaluation:
    """19 of 20 right, and 0.95 sure each time."""
    rows = []
    for k in range(n):
        truth = k // 20 % len(classes)
        rows.append((truth, (truth + (k % 20 == 0)) % len(classes), 0.95))
    return evaluation_of(classes, rows)


def test_a_good_model_on_good_data_gets_no_warning(report: Report) -> None:
    page = report(good())
    assert "Nothing to warn of was found" in page.said
    assert not [a for a in page.all("li") if a.get("class") in ("grave", "mild")]


def test_judged_on_what_made_it(report: Report) -> None:
    found = good()
    bundle = bundle_of(CATS)
    for part, words in (
        ("train", "Judged on what it was trained on"),
        ("validation", "Judged on its validation images"),
    ):
        seen = {**bundle.seen, part: found.pixels.digests[:7]}
        page = report(found, bundle=replace(bundle, seen=seen))
        assert words in page.said
        assert "7 of the 400 images" in page.said


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 0, 0.9)] * 9 + [(1, 1, 0.9)] * 9, "Judged on few images"),
        ([(0, 0, 0.6)] * 70 + [(0, 1, 0.6)] * 50 + [(1, 1, 0.6)] * 60, "A wide interval"),
        ([(0, 0, 0.9)] * 200 + [(1, 0, 0.9)] * 20, "Not shown to be better than a constant answer"),
        ([(0, 0, 0.9)] * 200 + [(1, 0, 0.9)] * 20, "1 class never answered"),
        ([(0, 0, 0.9)] * 200, "1 class not judged"),
        ([(0, 0, 0.9)] * 200 + [(1, 1, 0.9)] * 5, "Classes with few judged images"),
        ([(0, 0, 0.9)] * 200 + [(1, 1, 0.9)] * 5, "Uneven classes"),
        ([(0, 0, 0.9)] * 200 + [(1, 0, 0.9)] * 60 + [(1, 1, 0.9)] * 20, "Less than half found"),
        ([(0, 0, 0.99)] * 150 + [(0, 1, 0.99)] * 50 + [(1, 1, 0.99)] * 50, "Scores that cannot be taken at their word"),
    ],
)
def test_each_speaks_when_it_should(report: Report, rows: list[tuple[int, int, float]], words: str) -> None:
    assert words in report(evaluation_of(CATS, rows)).said


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(id="a.jpg", status="rejected", reason="truncated"), "Rejected files"),
        (Entry(id="a.jpg", status="kept", reason="same content as another"), "Many doubles"),
        (
            Entry(id="a.jpg", status="kept", reason="same content as another, with another label (cat, not dog)"),
            "One picture, two labels",
        ),
    ],
)
def test_files(report: Report, entry: Entry, words: str) -> None:
    page = report(good(), ledger=[entry, *(replace(entry, id=f"{k}.jpg") for k in range(100))])
    assert words in page.said
    assert entry.reason in page.said
    assert (
        "Nothing to warn"
        in report(good(), ledger=[Entry(id="x", status="rejected", reason="not an image by its name (.md)")]).said
    )


def test_learning_by_heart(report: Report) -> None:
    path = ((1.0, 0.5), (0.5, 0.9), (0.6, 0.88), (0.7, 0.87), (0.9, 0.8))
    rows: list[Mapping[str, float]] = [
        {"epoch": k, "validation_loss": loss, "validation_accuracy": right} for k, (loss, right) in enumerate(path, 1)
    ]
    assert "Trained too long, perhaps" in report(good(), history=rows).said
    still = [{**row, "validation_accuracy": 0.9} for row in rows]
    for history in (HISTORY, still):
        assert "Trained too long" not in report(good(), history=history).said


def test_grave_ones_come_first(report: Report) -> None:
    found = evaluation_of(CATS, [(0, 0, 0.9)] * 12 + [(1, 0, 0.9)] * 6)
    kinds = [a["class"] for a in report(found).all("li") if a.get("class") in ("grave", "mild")]
    assert kinds == sorted(kinds)
    assert kinds[0] == "grave"
