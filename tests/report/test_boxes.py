"""The page of what finds boxes: what was found, by hand, and what is said of it."""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.report.conftest import Drawn, Read, Said, boxes_of, bundle_of
from visto.data.ledger import Entry
from visto.evaluation import Evaluation, Group
from visto.report.box_cautions import about_boxes
from visto.report.box_curves import box_curves, thresholds_of
from visto.report.box_pictures import boxed
from visto.report.found_boxes import FoundBoxes, found_boxes, kinds
from visto.report.judged import judged
from visto.report.learning import epochs_of
from visto.report.plot_recall import Curves, recall_panel
from visto.report.sureness import bins_of, calibration
from visto.spec import Spec
from visto.types import Boxes, Size, View

Report = Callable[..., Read]
CELLS = ("red", "white", "platelet")
HISTORY = [
    {"epoch": k, "loss": 3.0 / k, "validation_loss": 1 - k / 10, "validation_map": k / 10, "lr": 0.001}
    for k in (1, 2, 3)
]
TRUE = [(0, (0, 0, 10, 10)), (0, (20, 0, 30, 10)), (1, (40, 0, 50, 10)), (1, (60, 0, 70, 10)), (2, (0, 40, 10, 50))]
SAID = [
    (0, (0, 0, 10, 10), 0.9),  # right
    (0, (0, 0, 10, 9), 0.8),  # double
    (0, (24, 0, 34, 10), 0.7),  # near the second: IoU 6 / 14
    (0, (40, 0, 50, 10), 0.6),  # on a white one
    (2, (80, 80, 90, 90), 0.95),  # on nothing
    (1, (60, 0, 70, 10), 0.4),  # right, but below the threshold
]


def one(threshold: float = 0.5) -> Evaluation:
    return boxes_of(CELLS, [(TRUE, sorted(SAID, key=lambda box: -box[2]))], threshold=threshold, side=100)


def many(n: int = 120, classes: tuple[str, ...] = CELLS, seed: int = 0, side: int = 8, a_time: int = 3) -> Evaluation:
    draw = random.Random(seed)
    rows: list[tuple[Drawn, Said]] = []
    for image in range(n):
        true = []
        said = []
        for k in range(a_time):
            x, y, size = draw.random() * 40, draw.random() * 40, 5 + 30 * draw.random()
            label = (image * a_time + k) % len(classes)
            true.append((label, (x, y, x + size, y + size)))
            score = draw.random()
            if draw.random() < 0.8:
                said.append((label, (x, y, x + size, y + size * (0.7 + 0.3 * draw.random())), score))
            if draw.random() < 0.3:
                said.append((draw.randrange(len(classes)), (50.0, y, 60.0, y + size), score * draw.random()))
        rows.append((true, sorted(said, key=lambda box: -box[2])))
    return boxes_of(classes, rows, side=side)


def boxes(found: Evaluation) -> FoundBoxes:
    looked = judged(found).boxes
    assert looked is not None
    return looked


def test_why_boxes_are_wrong_and_missed() -> None:
    (image,) = boxes(one()).images
    assert image.right.xyxy.tolist() == [[0, 0, 10, 10]]
    assert image.false_kinds == ["nothing", "double", "place", "class"]  # the surest first
    assert image.missed_kinds == ["place", "class", "low", "unseen"]
    assert kinds([image, image], "false_kinds") == {"double": 2, "class": 2, "place": 2, "nothing": 2}
    assert boxes(one(threshold=0.3)).images[0].missed_kinds == ["place", "class", "unseen"]


def test_counts_are_those_of_the_figures() -> None:
    for found in (one(), many()):
        looked, figures = boxes(found), found.figures
        assert looked.right / int(looked.drawn.sum()) == pytest.approx(figures["precision"].value)
        assert looked.right / looked.wanted == pytest.approx(figures["recall"].value)
        assert sum(len(image.false) for image in looked.images) == int(looked.drawn.sum()) - looked.right
        assert sum(len(image.missed) for image in looked.images) == looked.wanted - looked.right
        assert sum(len(image.right) for image in looked.images) == looked.right


def test_ignored_boxes_are_neither_asked_for_nor_wrong_to_find() -> None:
    found = one()
    target = found.pixels.items[0].target
    assert isinstance(target, Boxes)
    marked = replace(target, ignored=torch.tensor([True, False, False, False, True]))
    pixels = replace(found.pixels, items=(replace(found.pixels.items[0], target=marked),))
    looked = found_boxes(replace(found, pixels=pixels))
    assert looked.have == [1, 2, 0]
    (image,) = looked.images
    assert len(image.right) == 0
    assert len(image.missed) == 3


def test_calibration_is_of_the_boxes_drawn_and_its_plot_of_more() -> None:
    known = calibration(judged(one()))
    assert known is not None
    assert known.count == 5
    assert known.right == pytest.approx(1 / 5)
    assert known.claimed == pytest.approx((0.9 + 0.8 + 0.7 + 0.6 + 0.95) / 5)
    assert sum(b.count for b in bins_of(judged(one()))) == 6


def test_what_a_threshold_brings() -> None:
    found = thresholds_of(boxes(one()))
    assert found is not None
    rows = {row[0]: row for row in found.rows}
    assert list(rows) == ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
    assert rows["0.5"][1:] == (5, "20.0\xa0%", "20.0\xa0%", "20.0\xa0%", True)
    assert rows["0.1"][1:3] == (6, "33.3\xa0%")
    odd = thresholds_of(boxes(one(threshold=0.47)))
    assert odd is not None
    assert [row[0] for row in odd.rows if row[5]] == ["0.47"]
    assert len(odd.rows) == 10


def test_a_panel_draws_the_corners_of_its_curves() -> None:
    curves = Curves(half=[1.0] * 51 + [0.5] * 25 + [0.0] * 25, tight=[0.0] * 101, at=(0.5, 1.0))
    svg = recall_panel("x", curves, title="t")
    found = re.search(r'class="curve a" points="([^"]*)"', svg)
    assert found is not None
    # x runs from 42 to 198, y from 146 (0 %) up to 24 (100 %)
    assert found[1].split() == ["42,24", "120,24", "121.56,85", "159,85", "160.56,146"]
    assert re.search(r'class="value" cx="120" cy="24"', svg)


def test_a_curve_has_the_average_precision_of_its_figure() -> None:
    found = many()
    curves = box_curves(boxes(found), found.figures, found.details, CELLS)
    assert curves.plot is not None
    for panel in curves.panels:
        value = found.figures[f"map50/{panel.name}"].value
        assert f"average precision {value:.3f} at IoU 0.5" in panel.words


def test_boxes_lie_where_they_are_in_the_model_input() -> None:
    """100×200 pixels, letterboxed into 40×40: half of it is padding, and is cut off."""
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    view = View(size=Size(height=100, width=200), to_original=torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]))
    found = boxes(one()).images[0]
    over = boxed(image, view, found, CELLS).over
    assert 'viewBox="0 0 320.00 160.00"' in over
    (right,) = re.findall(r'<g class="right-box">(.*?)</g>', over)
    assert right == '<rect class="" x="0" y="0" width="16" height="16"></rect>'


def test_the_page_says_what_was_measured(report: Report) -> None:
    found = many()
    page = report(found, history=HISTORY)
    looked, figure = boxes(found), found.figures["map"]
    for words in (
        "Finds 3 kinds of things and where they are: red, white, platelet.",
        f"Of 360 boxes in 120 images of the test split it finds {looked.right} (",
        f"{figure.value:.3f}",
        "mAP at IoU 0.75",
        "mAP of small things",
        "Of the boxes it draws, the part that is right",
        "Recall by size of the thing",
        "(nothing)",
        "Each row holds the boxes of one class",
        "drawn boxes are wrong",
        "The surest boxes that are wrong",
        "What a threshold brings",
        "F1 Wrong Missed",
        "Files and boxes",
        "--draw drawn/",
    ):
        assert words in page.said, words
    for words in ("how sure it was", "Keeping silent", "Validation loss", "Its answers carry no scores", "nan"):
        assert words not in page.said
    assert len(page.all("img")) == 24
    assert all(a["alt"] for a in page.all("img"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for drawing in page.all("svg"):
        assert drawing.get("aria-hidden") == "true" or set(drawing["aria-labelledby"].split()) <= set(ids)
    assert not re.search(r"https?://|url\(|@import|src=\"(?!data:image/)|href=\"(?!#)", page.text)
    assert not [a for _, a in page.elements if "style" in a]
    assert all("scope" in a for a in page.all("th"))


def test_without_samples_it_holds_no_picture(report: Report) -> None:
    page = report(many(), samples=False)
    assert "data:image" not in page.text
    assert not page.all("img")
    assert "asked to hold no pictures" in page.said
    assert "0.png" in page.said


@pytest.mark.parametrize("scored", [True, False])
def test_no_box_drawn(report: Report, scored: bool) -> None:
    found = boxes_of(CELLS, [(TRUE, [])] * 3)
    if not scored:
        none = Boxes(xyxy=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
        found = replace(found, answers=[replace(answer, value=none) for answer in found.answers])
    page = report(found)
    for words in ("it draws none", "It draws nothing", "It drew no box, so there is no score", "15 boxes were missed"):
        assert words in page.said, words
    assert "nan" not in page.said


def test_no_box_to_find(report: Report) -> None:
    found = boxes_of(CELLS, [([], SAID[:2])] * 3)
    page = report(found)
    for words in ("There is nothing to find in 3 images", "No box to find", "6 drawn boxes are wrong", "3 classes not"):
        assert words in page.said, words
    assert "Precision by recall" not in page.said
    nothing = report(boxes_of(CELLS, [([], [])] * 3))
    assert "Nothing could be measured" in nothing.said
    assert "every box was found, and none was drawn wrongly" in nothing.said


def test_all_right(report: Report) -> None:
    rows: list[tuple[Drawn, Said]] = [(TRUE[:1], SAID[:1])] * 3
    page = report(boxes_of(("red",), rows))
    for words in ("Finds 1 kind of things", "In all 3 images every box was found", "Of its one class", "100 %"):
        assert words in page.said, words


def test_a_hundred_classes_stay_small_and_nothing_is_cut_silently(report: Report) -> None:
    classes = tuple(f"<b> {k} " + "x" * 300 for k in range(100))
    found = many(140, classes, side=448, a_time=12)
    bundle = bundle_of(classes, task="detection")
    size: Spec[Any] = Spec(
        name="standard", arguments={"size": [448, 448], "channels": 3, "mean": [0.0] * 3, "std": [1.0] * 3}
    )
    page = report(found, bundle=replace(bundle, manifest=replace(bundle.manifest, preprocess=size)))
    assert "<b> 1 x" not in page.text
    for words in ("92 more classes with fewer", "by name", "16 more images with mistakes, not shown"):
        assert words in page.said, words
    assert len(page.all("img")) == 24


def test_scores_that_are_not_there(report: Report) -> None:
    found = many(20)
    answers = [replace(a, value=replace(a.value, scores=None)) for a in found.answers]
    assert "What a threshold brings" not in report(replace(found, answers=answers)).said


def test_validation_loss_that_says_the_same_is_left_out(report: Report) -> None:
    assert all("validation_loss" not in row for row in epochs_of(HISTORY))
    own = [{**row, "validation_loss": 2.0} for row in HISTORY]
    assert epochs_of(own) == own
    page = report(many(12), history=HISTORY)
    assert "mAP on validation was best after epoch 3" in page.said
    assert "Validation loss" in report(many(12), history=own).said


def test_cautions_about_boxes(report: Report) -> None:
    assert about_boxes(boxes(many()), {"recall_by_size": {"small": (1, 20), "medium": (18, 20), "large": (0, 1)}}) == [
        (
            False,
            "Small things are much harder for it",
            "It finds 5.0\xa0% of the small things (up to 32×32 pixels) and 90.0\xa0% of the medium ones. A larger "
            "--size of input, or images cut into tiles, may help.",
        )
    ]
    assert not about_boxes(boxes(many()), {"recall_by_size": {"small": (18, 20), "medium": (18, 20)}})
    rows: list[tuple[Drawn, Said]] = [(TRUE[:1], SAID[:2])] * 12
    page = report(boxes_of(CELLS, rows), ledger=[Entry(id="a.jpg#3", status="rejected", reason="outside")] * 2)
    for words in (
        "The same thing drawn twice",
        "12 of 24 drawn boxes (50.0 %)",
        "no box of it was judged",
        "Rejected files and boxes",
        "files and boxes could not be used",
    ):
        assert words in page.said, words
    few = report(boxes_of(CELLS, [(TRUE, SAID)] * 2))
    assert "Classes with few judged boxes" in few.said


def test_groups_without_figures_of_their_own_have_no_table(report: Report) -> None:
    found = replace(many(12), groups=(Group(name="ward", n=6, figures={}), Group(name="lab", n=6, figures={})))
    assert "Each group" not in report(found).said


def test_names_are_never_markup(report: Report) -> None:
    bad = ("<script>alert(1)</script>", '" onload="x', "{{ 7 * 7 }}")
    page = report(boxes_of(bad, [(TRUE, SAID)] * 2, side=100), bundle=bundle_of(bad, task="detection"))
    assert "<script>alert" not in page.text
    assert len(page.all("script")) == 1
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
