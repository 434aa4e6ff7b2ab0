"""Average precision equals pycocotools', weighted and not: crowds, ignored boxes, ties, empty images, tiny boxes."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import visto.metrics.average_precision
import visto.metrics.box_matching
from visto.metrics import AveragePrecision, BoxPrecisionRecall, pr_curve, recall_by_size
from visto.types import Boxes

Array = np.ndarray[Any, np.dtype[Any]]
FIGURES = {"map": 0, "map50": 1, "map75": 2, "map_small": 3, "map_medium": 4, "map_large": 5}


def annotations(boxes: Sequence[Boxes]) -> list[dict[str, Any]]:
    """As COCO writes them; a box that is ignored without being a crowd has an area that no range holds."""
    found: list[dict[str, Any]] = []
    for image, b in enumerate(boxes):
        for m, (x0, y0, x1, y1) in enumerate(b.xyxy.double().tolist()):
            crowd = b.crowd is not None and bool(b.crowd[m])
            ignored = b.ignored is not None and bool(b.ignored[m])
            area = (x1 - x0) * (y1 - y0) if b.areas is None else float(b.areas[m])
            row: dict[str, Any] = {"id": len(found) + 1, "image_id": image + 1, "category_id": int(b.labels[m]) + 1}
            row |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": int(crowd)}
            row["area"] = 1e12 if ignored and not crowd else area
            if b.scores is not None:
                row["score"] = float(b.scores[m].double())
            found.append(row)
    return found


def judged(predictions: Sequence[Boxes], targets: Sequence[Boxes], classes: int) -> Any:
    truth, answers = COCO(), COCO()
    images = [{"id": n + 1} for n in range(len(targets))]
    categories = [{"id": k + 1, "name": f"c{k}"} for k in range(classes)]
    with contextlib.redirect_stdout(io.StringIO()):
        for coco, boxes in ((truth, targets), (answers, predictions)):
            coco.dataset = {"images": images, "categories": categories, "annotations": annotations(boxes)}
            coco.createIndex()
        judge = COCOeval(truth, answers, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def expected(judge: Any, classes: int) -> dict[str, float]:
    figures = {name: float(judge.stats[at]) for name, at in FIGURES.items()}
    precision = judge.eval["precision"][:, :, :, 0, 2]
    for k in range(classes):
        figures[f"map/c{k}"] = float(precision[:, :, k].mean())
        figures[f"map50/c{k}"] = float(precision[0, :, k].mean())
    return {name: value for name, value in figures.items() if value > -1}


def filled(predictions: Sequence[Boxes], targets: Sequence[Boxes], classes: int, batch: int = 3) -> AveragePrecision:
    metric = AveragePrecision([f"c{k}" for k in range(classes)])
    for start in reversed(range(0, len(targets), batch)):  # in any order
        rows = torch.arange(start, min(start + batch, len(targets)))
        metric.update(rows, predictions[start : start + batch], targets[start : start + batch])
    return metric


def random_boxes(
    random: np.random.Generator, images: int, classes: int, *, many: int = 12, distinct: bool = False, scale: float = 1
) -> tuple[list[Boxes], list[Boxes]]:
    """Targets of all sizes, and detections near them and elsewhere; some of each on whole pixels, where IoUs tie."""
    predictions, targets = [], []
    for _ in range(images):
        t, p = int(random.integers(0, many)), int(random.integers(0, 2 * many))
        corner = random.uniform(0, 100, (t, 2))
        size = np.exp(random.uniform(np.log(0.5), np.log(300), (t, 2)))
        wanted = np.concatenate([corner, corner + size], 1)
        labels = random.integers(0, classes, t)
        flags = random.random(t)
        source = random.integers(0, max(t, 1), p)
        near = wanted[source] if t else np.tile([0.0, 0, 10, 10], (p, 1))
        found = near + random.normal(0, 0.08, (p, 4)) * np.tile(near[:, 2:] - near[:, :2], 2)
        if random.random() < 0.5:
            wanted, found = wanted.round(), found.round()
        found[:, 2:] = np.maximum(found[:, :2], found[:, 2:])
        own = labels[source] if t else np.zeros(p, np.int64)
        scores = random.random(p) if distinct else random.integers(0, 8, p) / 8
        predictions.append(
            Boxes(
                xyxy=torch.tensor(found * scale, dtype=torch.float32).reshape(-1, 4),
                labels=torch.tensor(np.where(random.random(p) < 0.8, own, random.integers(0, classes, p))),
                scores=torch.tensor(scores, dtype=torch.float32 if random.random() < 0.5 else torch.float64),
            )
        )
        areas = torch.tensor(random.choice([1024.0, 9216.0, 500.0, 20000.0], t))
        targets.append(
            Boxes(
                xyxy=torch.tensor(wanted * scale, dtype=torch.float32).reshape(-1, 4),
                labels=torch.tensor(labels),
                ignored=torch.tensor(flags < 0.25),
                crowd=torch.tensor(flags < 0.1),
                areas=areas if random.random() < 0.3 else None,
            )
        )
    return predictions, targets


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 4), st.sampled_from([1e-3, 1.0, 1.0, 1.0, 500.0]))
def test_equals_pycocotools(seed: int, images: int, classes: int, scale: float) -> None:
    predictions, targets = random_boxes(np.random.default_rng(seed), images, classes, scale=scale)
    judge = judged(predictions, targets, classes)
    assert filled(predictions, targets, classes).compute() == pytest.approx(expected(judge, classes), abs=1e-6)
    curves = pr_curve(predictions, targets, classes=classes)
    precision = judge.eval["precision"][[0, 5], :, :, 0, 2].swapaxes(1, 2)
    np.testing.assert_allclose(curves.nan_to_num(-1), precision, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 3))
def test_a_weight_is_so_many_copies_of_the_image(seed: int, images: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    predictions, targets = random_boxes(random, images, classes, distinct=True)
    weights = random.integers(0, 4, images)
    metric = filled(predictions, targets, classes)
    copies = np.repeat(np.arange(images), weights)
    judge = judged([predictions[i] for i in copies], [targets[i] for i in copies], classes)
    assert metric.compute(torch.tensor(weights)) == pytest.approx(expected(judge, classes), abs=1e-6)


def test_many_weightings_equal_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, targets = random_boxes(np.random.default_rng(3), 9, 3)
    weights = torch.tensor(np.random.default_rng(4).integers(0, 3, (9, 20))).double()
    together = filled(predictions, targets, 3).compute_many(weights)
    monkeypatch.setattr(visto.metrics.average_precision, "_AT_ONCE", 60)
    monkeypatch.setattr(visto.metrics.box_matching, "_PAIRS_AT_ONCE", 20)
    metric = filled(predictions, targets, 3, batch=9)
    for name, values in metric.compute_many(weights).items():
        torch.testing.assert_close(values, together[name], rtol=0, atol=1e-12, equal_nan=True)
    for r in range(20):
        alone = {name: float(values[r]) for name, values in together.items() if not values[r].isnan()}
        assert metric.compute(weights[:, r]) == pytest.approx(alone)


def test_images_may_come_after_a_first_look() -> None:
    predictions, targets = random_boxes(np.random.default_rng(8), 6, 2)
    metric = AveragePrecision(["c0", "c1"])
    metric.update(torch.tensor([5, 1, 3]), [predictions[i] for i in (5, 1, 3)], [targets[i] for i in (5, 1, 3)])
    metric.compute()
    metric.update(torch.tensor([4, 0, 2]), [predictions[i] for i in (4, 0, 2)], [targets[i] for i in (4, 0, 2)])
    weights = torch.tensor([1.0, 0, 2, 1, 3, 0])
    assert metric.compute(weights) == pytest.approx(filled(predictions, targets, 2).compute(weights), abs=1e-12)
    assert metric.rows.tolist() == list(range(6))


def test_more_than_a_hundred_detections() -> None:
    predictions, targets = random_boxes(np.random.default_rng(2), 4, 2, many=400)
    assert sum(int((p.labels == 0).sum()) > 100 for p in predictions) > 1
    judge = judged(predictions, targets, 2)
    assert filled(predictions, targets, 2).compute() == pytest.approx(expected(judge, 2), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_recall_equals_pycocotools(seed: int) -> None:
    """At a threshold below all scores recall is that of its whole list."""
    predictions, targets = random_boxes(np.random.default_rng(seed), 4, 2)
    recall = judged(predictions, targets, 2).eval["recall"][0, :, :, 2]
    metric = BoxPrecisionRecall(["a", "b"], 0.0)
    metric.update(torch.arange(4), predictions, targets)
    values = metric.compute()
    for k, name in enumerate("ab"):
        assert recall[k, 0] == -1 or values[f"recall/{name}"] == pytest.approx(recall[k, 0])
    one = [Boxes(xyxy=b.xyxy, labels=b.labels * 0, scores=b.scores) for b in predictions]
    kept = [Boxes(xyxy=b.xyxy, labels=b.labels * 0, ignored=b.ignored, crowd=b.crowd, areas=b.areas) for b in targets]
    sizes = recall_by_size(one, kept, threshold=0.0)
    for a, name in enumerate(("small", "medium", "large"), start=1):
        found, asked = sizes[name]
        whole = judged(one, kept, 1).eval["recall"][0, 0, a, 2]
        assert (found / asked if asked else -1) == pytest.approx(whole)
