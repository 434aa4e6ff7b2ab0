"""The page as a whole: what it says, that it stands alone, and that nothing in it is taken for markup."""

import base64
import hashlib
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.report.conftest import HISTORY, Read, bundle_of, evaluation_of, pixels_of, several_of
from visto.data.ledger import Entry
from visto.evaluation import Evaluation, Group
from visto.report import write_report
from visto.tasks.classification import Classification
from visto.types import Answer, Figure, Label

Report = Callable[..., Read]
CATS = ("cat", "dog", "owl")


def some(n: int = 120, classes: tuple[str, ...] = CATS, wrong: float = 0.2, side: int = 8) -> Evaluation:
    draw = random.Random(0)
    rows = []
    for k in range(n):
        truth = k % len(classes)
        answer = (truth + 1) % len(classes) if draw.random() < wrong else truth
        rows.append((truth, answer, 0.5 + 0.5 * draw.random()))
    return evaluation_of(classes, rows, side=side)


def unjudged(n: int, classes: tuple[str, ...], side: int) -> Evaluation:
    """As ``some``, nearly all wrong; its figures are made up, because a thousand resamples of so many take minutes."""
    draw = random.Random(0)
    scores = torch.rand(n, len(classes))
    answers = [Answer(value=Label(index=draw.randrange(len(classes)), scores=row)) for row in scores]
    targets = [Label(index=k % len(classes)) for k in range(n)]
    figure = Figure(value=0.123456789, low=0.1, high=0.2)
    names = [f"{kind}/{label}" for kind in ("precision", "recall", "f1") for label in classes]
    return Evaluation(
        task="classification",
        split="all",
        n=n,
        seen=0,
        left_out=0,
        classes=classes,
        figures=dict.fromkeys(["accuracy", "ece", *names], figure),
        details=Classification(classes=classes).details(answers, targets),
        ledger=tuple(Entry(id=f"{k}" * 100, status="rejected", reason=f"{k} " * 100) for k in range(n)),
        answers=answers,
        pixels=pixels_of(targets, ids=["<i>" * 100 + str(k) for k in range(n)], side=side),
        groups=tuple(Group(name=f"<g> {k}" * 50, n=1, figures={"accuracy": figure}) for k in range(5000)),
    )


def test_it_says_what_was_measured(report: Report) -> None:
    found = some()
    page = report(found)
    accuracy = found.figures["accuracy"]
    assert accuracy.low is not None
    assert f"{100 * accuracy.value:.1f} %" in page.said
    assert f"{100 * accuracy.low:.1f} to" in page.said
    for words in (
        "Tells 3 classes apart: cat, dog, owl.",
        "AUROC",
        "Log-loss",
        "Calibration error",
        "2026-01-31 12:34",
    ):
        assert words in page.said
    assert "highest learning rate 0.004 found by a range test" in page.said
    assert "visto predict cats.visto photo.jpg" in page.said


def test_it_stands_alone_and_may_load_nothing(report: Report) -> None:
    page = report(some())
    assert not re.search(r"https?://|url\(|@import|src=\"(?!data:image/)|href=\"(?!#)", page.text)
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "base", "form")]
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'; img-src data:" in policy
    for tag in ("style", "script"):
        content = page.text.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in page.elements if "style" in a or any(name.startswith("on") for name in a)]


def test_it_can_be_read_without_eyes(report: Report) -> None:
    page = report(some())
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all("scope" in a for a in page.all("th"))
    assert all(a["alt"] for a in page.all("img"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for drawing in page.all("svg"):
        assert drawing.get("aria-hidden") == "true" or set(drawing["aria-labelledby"].split()) <= set(ids)
    links = [a["href"][1:] for a in page.all("a")]
    assert set(links) <= set(ids)


def test_names_are_never_markup(report: Report) -> None:
    bad = "<script>alert(1)</script>"
    classes = (bad, "\" onload='x'", "{{ 7 * 7 }}")
    rows = [(0, 1, 0.9), (1, 0, 0.8), (2, 2, 0.7)] * 4
    entries = [Entry(id=f"{bad}\n\x1b[31m", status="rejected", reason=f"{bad} is bad")]
    found = evaluation_of(classes, rows, ids=[f"{bad}.png", "\udcff.png", "a\u202egnp.exe"], entries=entries)
    page = report(found, ledger=entries, bundle=bundle_of(classes, Path(f"{bad.replace('/', '')}.visto")))
    assert len(page.all("script")) == 1
    assert "<script>alert" not in page.text
    assert "{{ 7 * 7 }}" in page.said
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    assert "\\udcff.png" in page.said


def test_without_samples_it_holds_no_image(report: Report) -> None:
    assert "data:image" in report(some()).text.split("</head>")[1]
    page = report(some(), samples=False)
    assert "data:image" not in page.text
    assert not page.all("img")
    assert "asked to hold no pictures" in page.said


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        path = write_report(tmp_path / name, bundle=bundle_of(CATS), evaluation=some(), history=HISTORY, ledger=[])
        pages.append(path.read_bytes())
    assert pages[0] == pages[1]


def test_a_thousand_classes_and_many_images_stay_small_and_nothing_is_cut_silently(report: Report) -> None:
    classes = tuple(f"<class> & {k} " + "x" * 300 for k in range(1000))
    page = report(unjudged(20_000, classes, side=224))
    for words in (
        "and 900 more",
        "and 4,900 more",
        "more reasons",
        "more pairs",
        "more mistakes",
        "visto evaluate --json",
    ):
        assert words in page.said
    assert len(page.all("img")) == 25


def test_one_image_is_enough(report: Report) -> None:
    page = report(evaluation_of(CATS, [(0, 0, 1.0)]))
    assert "Not one of the 1 image was answered wrong" in page.said
    assert "Judged on few images" in page.said
    page = report(evaluation_of(CATS, [(0, 1, 1.0)]))
    assert "1 image of 1 was answered wrong" in page.said


def test_nothing_wrong_no_history_no_ledger(report: Report) -> None:
    page = report(some(wrong=0.0), history=[])
    assert "No class was taken for another" in page.said
    assert "The history of the run is not beside the bundle" in page.said
    assert "no ledger lies beside the bundle" in page.said


def test_history_that_is_not_all_numbers_is_drawn_as_far_as_it_goes(report: Report) -> None:
    odd = [*HISTORY, {"epoch": 4, "loss": float("nan"), "validation_loss": None, "validation_accuracy": "high"}]
    page = report(some(), history=odd)
    places = [a["points"] for a in page.all("polyline")]
    assert places
    assert not [p for p in places if "nan" in p or "None" in p]
    assert "by epoch" in report(some(), history=[{"epoch": 1, "validation_accuracy": 0.5, "loss": 2.0}]).said


def test_figures_without_bounds_say_so(report: Report) -> None:
    found = some()
    bare = {name: replace(figure, low=None, high=None) for name, figure in found.figures.items()}
    page = report(replace(found, figures=bare))
    assert "no interval" in page.said
    assert "None" not in page.said
    assert "Nothing could be measured" in report(replace(found, figures={})).said


def test_several_labels_an_image(report: Report) -> None:
    rows = [((0, 1), (0.9, 0.8, 0.1)), ((2,), (0.7, 0.2, 0.4)), ((), (0.1, 0.2, 0.3))] * 15
    page = report(several_of(CATS, rows))
    assert "Finds any of 3 classes in an image" in page.said
    assert "30 had every class right and none missed" in page.said
    assert "Confusion matrix" not in page.said
    for words in ("Exact match", "Missed", "Wrongly added", "none"):
        assert words in page.said


def test_groups_are_shown_where_there_are(report: Report) -> None:
    found = evaluation_of(CATS, [(0, 0, 0.9), (1, 0, 0.8)] * 10, groups=["ward <1>", "ward 2"] * 10)
    page = report(found)
    assert "Each group" in page.said
    assert "ward <1>" in page.said
    assert "Each group" not in report(some()).said


def test_what_more_images_would_buy(report: Report) -> None:
    points = [
        {"images": n, "figure": "accuracy", "value": v, "low": v - 0.1, "high": None} for n, v in ((10, 0.5), (20, 0.7))
    ]
    curve = {"points": points, "forecast": {"images": 40, "value": 0.8, "low": 0.7, "high": 0.9}, "words": "More <b>."}
    page = report(some(), learning_curve=curve)
    assert "What more images would buy" in page.said
    assert "More <b>." in page.said
    assert "80.0 % (70.0 % to 90.0 %)" in page.said
    for broken in ({}, {"points": "x"}, {"points": [None, {"images": "many"}]}, {"points": [points[0]], "forecast": 3}):
        report(some(), learning_curve=broken)


@pytest.mark.parametrize("channels", [1, 3])
def test_large_and_grey_pictures(report: Report, channels: int) -> None:
    found = some(12, wrong=1.0, side=300)
    pixels = replace(found.pixels, storage=found.pixels.storage[:, :channels])
    sources = [a["src"] for a in report(replace(found, pixels=pixels)).all("img")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    small = report(some(12, wrong=1.0)).all("img")
    assert all(a["src"].startswith("data:image/png;base64,") and a["class"] == "coarse" for a in small)


def test_answers_without_scores(report: Report) -> None:
    found = some(10)
    answers = [replace(a, value=replace(a.value, scores=None)) for a in found.answers]
    page = report(replace(found, answers=answers))
    assert "Its answers carry no scores" in page.said
    assert torch.is_tensor(found.answers[0].value.scores)
