"""Boxes from the list to the answer: train, resume, evaluate, compare, predict, fine-tune, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.scenes import CLASSES, Thing, make_scenes, scene, write_scenes
from tests.training.killing import killed

import visto
from visto.__main__ import run
from visto.api import Model
from visto.data.cache import materialise, take
from visto.data.dataset import Dataset
from visto.errors import DataError
from visto.metrics import AveragePrecision
from visto.models.weights import find
from visto.preprocess import Fit
from visto.recipes import Request
from visto.training import train
from visto.training.prepare import small_boxes
from visto.training.settle import check_suited
from visto.types import Boxes, Silent, Size

ALONE: list[Thing] = [("square", 8, 8, 28, 28)]
FROM_SCRATCH: Any = {"size": 64, "batch_size": 8, "precision": "fp32", "scratch": True}
BOTH: list[Thing] = [*ALONE, ("disc", 36, 30, 58, 52)]


def learn(data: Dataset | Path, out: Path, *, parent: Model | None = None, **options: Any) -> Model:
    """A bundle without a report; an epoch from scratch if nothing else is said."""
    if parent is None:
        options = {"size": 64, "epochs": 1.0, "scratch": True, **options}
    else:
        options = {"start_from": parent.bundle.digest, **options}
    request = Request(batch_size=8, precision="fp32", **options)
    dataset = data if isinstance(data, Dataset) else visto.read(data)
    bundle = parent.bundle if parent else None
    return Model(train(dataset, out, request, voice=Silent(), threads=1, parent=bundle).bundle)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty scenes: 36 to learn from, 12 to validate, 12 to test."""
    return visto.read(make_scenes(tmp_path_factory.mktemp("scenes") / "data", 60))


@pytest.fixture(scope="module")
def trained(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Begun with the published weights where they are, so that it can do something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return learn(data, tmp_path_factory.mktemp("model") / "m.visto", epochs=6.0, scratch=None)


def test_the_bundle_finds_boxes(trained: Model) -> None:
    manifest = trained.bundle.manifest
    assert (manifest.task, manifest.recipe["task"], manifest.model.name) == ("detection", "detection", "yolo")
    assert set(manifest.classes) == set(CLASSES)
    assert manifest.preprocess.arguments["crop"] == "letterbox"
    assert 0 <= manifest.head["threshold"] <= 1
    assert {"map", "map50", "map75", "precision", "recall", "f1"} <= manifest.metrics.keys()
    if find("yolo") is not None:
        assert manifest.metrics["map50"].value > 0.5


def test_it_is_judged_on_what_it_has_not_seen(trained: Model, data: Dataset) -> None:
    judged = visto.evaluate(trained, data)
    assert (judged.task, judged.split, judged.n, judged.seen) == ("detection", "test", 12, 0)
    compared = visto.compare(trained, trained, data)
    assert compared.difference["map"].value == 0
    if find("yolo") is not None:
        assert judged.figures["map50"].value > 0.5
        assert judged.figures["map"].low is not None


def test_the_commands(trained: Model, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, images = str(trained.path), str(Path(data.source) / "img")

    def said(*arguments: str) -> Any:
        assert run([*arguments, "--json", "--threads", "1"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (judged,) = said("evaluate", bundle, data.source)
    assert (judged["task"], judged["n"]) == ("detection", 12)
    assert judged["metrics"].keys() == visto.evaluate(trained, data).figures.keys()
    (compared,) = said("compare", bundle, bundle, data.source)
    assert compared["difference"]["map"]["value"] == 0
    assert run(["info", bundle]) == 0
    assert "detection, 2 classes" in capsys.readouterr().out
    lines = said("predict", bundle, images, "--threshold", "0", "--draw", str(tmp_path / "drawn"))
    assert len(lines) == len(list((tmp_path / "drawn").iterdir())) == 60
    for line in lines:
        scores = [answer["score"] for answer in line["answers"]]
        assert scores == sorted(scores, reverse=True)
        for answer in line["answers"]:
            x0, y0, x1, y1 = answer["box"]
            assert answer["label"] in CLASSES and 0 <= x0 <= x1 <= 64 and 0 <= y0 <= y1 <= 64
    tracked = said("predict", bundle, images, "--track", "--threshold", "0.2")
    assert [line["id"] for line in tracked] == [line["id"] for line in lines]
    assert all("track" in answer for line in tracked for answer in line["answers"])


def test_a_model_that_looks_once_proposes_nothing(trained: Model, data: Dataset) -> None:
    assert run(["predict", str(trained.path), data.source, "--proposals", "3", "--quiet"]) == 2


def test_training_by_the_command_ends_with_a_report(data: Dataset, tmp_path: Path) -> None:
    out = str(tmp_path / "m.visto")
    options = ("--size", "64", "--epochs", "1", "--scratch", "--threads", "1", "--quiet")
    assert run(["train", data.source, "-o", out, *options]) == 0
    assert (tmp_path / "m.run" / "report.html").stat().st_size > 10_000
    assert run(["report", out, data.source, "--quiet"]) == 0
    assert (tmp_path / "m.report.html").exists()


def test_threshold_0_gives_what_the_average_precision_was_computed_from(trained: Model, data: Dataset) -> None:
    judged = visto.evaluate(trained, data)
    metric = AveragePrecision(trained.classes)
    for row, (item, answer) in enumerate(zip(judged.pixels.items, judged.answers, strict=True)):
        assert isinstance(item.source, Path) and isinstance(item.target, Boxes)
        found = trained.predict(item.source, threshold=0).value
        assert torch.equal(found.labels, answer.value.labels)
        assert torch.allclose(found.xyxy, answer.value.xyxy, atol=1e-2)
        assert torch.allclose(found.scores, answer.value.scores, atol=1e-4)
        metric.update(torch.tensor([row]), [found], [item.target])
        usual = trained.predict(item.source).value
        assert len(usual) == int((found.scores >= trained.bundle.manifest.head["threshold"]).sum())
    assert metric.compute()["map"] == pytest.approx(judged.figures["map"].value, abs=1e-3)


def other_order(data: Dataset) -> Dataset:
    """The same data, its classes listed the other way round."""
    last = len(data.classes) - 1
    items = [
        replace(item, target=replace(item.target, labels=last - item.target.labels))
        for item in data.items
        if isinstance(item.target, Boxes)
    ]
    return replace(data, classes=data.classes[::-1], items=tuple(items))


def test_the_data_may_list_its_classes_in_another_order(trained: Model, data: Dataset) -> None:
    turned = other_order(data)
    assert turned.classes == trained.classes[::-1]
    there, here = visto.evaluate(trained, turned), visto.evaluate(trained, data)
    assert there.classes == trained.classes
    assert {k: v.value for k, v in there.figures.items()} == {k: v.value for k, v in here.figures.items()}


def test_a_class_that_the_model_does_not_know(trained: Model, tmp_path: Path) -> None:
    other = write_scenes(tmp_path / "other", [[("disc", 8, 8, 28, 28)], ALONE])
    text = (other / "boxes.csv").read_text()
    (other / "boxes.csv").write_text(text.replace("disc", "owl"))
    with pytest.raises(DataError, match="'owl'"):
        visto.evaluate(trained, other)


def test_a_model_for_labels_is_not_judged_on_boxes(trained: Model, data: Dataset, tmp_path: Path) -> None:
    digits = visto.train("digits", tmp_path / "d.visto", model="mlp", epochs=1, threads=1)
    with pytest.raises(DataError):
        visto.evaluate(digits, data)
    with pytest.raises(DataError):
        visto.evaluate(trained, "digits")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "asked",
    [
        Request(model="yolo", epochs=3.0, **FROM_SCRATCH),
        Request(model="faster_rcnn", epochs=3.0, arguments={"width": 8, "hidden": 16, "proposals": 10}, **FROM_SCRATCH),
    ],
    ids=lambda asked: asked.model,
)
def test_a_killed_run_ends_the_same(asked: Request, data: Dataset, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import visto; from visto.training import train; "
        "from visto.recipes import Request; from visto.types import Silent; "
        f"train(visto.read(sys.argv[1]), Path(sys.argv[2]), {asked!r}, voice=Silent(), threads=1)"
    )
    whole, out = tmp_path / "whole.visto", tmp_path / "m.visto"
    train(data, whole, asked, voice=Silent(), threads=1)
    killed(["-c", script, data.source, str(out)], (tmp_path / "m.run" / "state").exists)
    assert not out.exists()
    train(data, out, asked, voice=Silent(), threads=1, resume=True)
    for name in ("weights.safetensors", "data.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    one, other = (visto.load(path).bundle.manifest for path in (out, whole))
    assert (one.head, one.metrics) == (other.head, other.metrics)


def test_a_class_that_validation_lacks_and_images_without_anything(tmp_path: Path) -> None:
    scenes: list[Sequence[Thing]] = [BOTH, BOTH, [], ALONE, BOTH, [], ALONE, [], ALONE]
    splits = ["train"] * 6 + ["val", "val", "test"]
    model = learn(write_scenes(tmp_path / "data", scenes, splits=splits), tmp_path / "m.visto")
    figures = model.bundle.manifest.metrics
    assert "map" in figures and "map/disc" not in figures


def test_a_validation_without_anything(tmp_path: Path) -> None:
    scenes: list[Sequence[Thing]] = [BOTH, BOTH, BOTH, [], [], BOTH]
    data = write_scenes(tmp_path / "data", scenes, splits=["train"] * 3 + ["val", "val", "test"])
    with pytest.raises(DataError, match="no box in any of the 2 validation images"):
        learn(data, tmp_path / "m.visto")


def test_boxes_too_small_to_be_seen_are_told(tmp_path: Path) -> None:
    tiny: list[Thing] = [("square", 8, 8, 14, 14), ("disc", 36, 30, 58, 52)]
    dataset = visto.read(write_scenes(tmp_path / "data", [tiny, BOTH]))
    fit = Fit(size=Size(height=64, width=64), channels=3, crop="letterbox")
    pixels = materialise(dataset.items, fit, threads=1)
    assert small_boxes(pixels, fit) == (
        "1 of 4 boxes are less than 8 pixels wide or high in the model's input: see --size"
    )
    assert not small_boxes(take(pixels, torch.tensor([1])), fit)


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    scenes: list[Sequence[Thing]] = [ALONE, ALONE, ALONE, BOTH, ALONE]
    data = write_scenes(tmp_path / "data", scenes, splits=["train"] * 3 + ["val", "test"])
    with pytest.raises(DataError, match="'disc' has images in validation but none to train on"):
        learn(data, tmp_path / "m.visto")


def test_nothing_but_background_is_refused(tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "data", [[]] * 6, splits=["train"] * 4 + ["val", "test"])
    with pytest.raises(DataError):
        learn(data, tmp_path / "m.visto")
    scenes: list[Sequence[Thing]] = [[], [], [], ALONE, ALONE]
    data = write_scenes(tmp_path / "more", scenes, splits=["train"] * 3 + ["val", "test"])
    with pytest.raises(DataError, match="no box in any of the 3 training images"):
        learn(data, tmp_path / "m.visto")


def test_one_class_is_enough(tmp_path: Path) -> None:
    scenes: list[Sequence[Thing]] = [ALONE] * 5
    model = learn(write_scenes(tmp_path / "data", scenes, splits=["train"] * 3 + ["val", "test"]), tmp_path / "m.visto")
    assert model.classes == ("square",)


@pytest.mark.parametrize(
    "options",
    [
        ("--balance", "weights"),
        ("--ensemble", "3"),
        ("--features", "hog"),
        ("--label-smoothing", "0.1"),
        ("--learning-curve",),
        ("--mixup", "0.2"),
        ("--repeats", "2"),
        ("--second-look", "0.25"),
        ("--unfreeze", "1"),
        ("--views", "2"),
        ("--model", "resnet"),
        ("--model", "svm"),
        ("--augment", "crop"),
    ],
)
def test_options_that_do_not_suit_boxes(
    options: tuple[str, ...], data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", data.source, "-o", str(tmp_path / "m.visto"), *options]) == 2
    shown = capsys.readouterr()
    assert not shown.out and "internal" not in shown.err
    assert not (tmp_path / "m.visto").exists()


@pytest.mark.parametrize("values", [{"second_look": 0.0, "balance": "none", "mixup": 0.0, "repeats": 1}])
def test_what_asks_for_nothing_is_not_refused(values: dict[str, Any], data: Dataset) -> None:
    check_suited(data, Request(**values))


def test_a_curve_is_not_drawn_later_either(trained: Model, data: Dataset) -> None:
    assert run(["train", data.source, "-o", str(trained.path), "--resume", "--learning-curve"]) == 2


def test_tuning_boxes_is_refused(data: Dataset, tmp_path: Path) -> None:
    assert run(["tune", data.source, "-o", str(tmp_path / "m.visto"), "--trials", "2"]) == 2


def test_a_detector_for_labels_is_refused(tmp_path: Path) -> None:
    assert run(["train", "digits", "-o", str(tmp_path / "m.visto"), "--model", "yolo"]) == 2


def test_a_bundle_of_labels_is_no_beginning_for_boxes(data: Dataset, trained: Model, tmp_path: Path) -> None:
    digits = visto.train("digits", tmp_path / "d.visto", model="mlp", epochs=1, threads=1)
    out = str(tmp_path / "m.visto")
    assert run(["train", data.source, "-o", out, "--from", str(digits.path), "--quiet"]) == 2
    assert run(["train", "digits", "-o", out, "--from", str(trained.path), "--quiet"]) == 2


def test_fine_tuning_on_other_classes(trained: Model, tmp_path: Path) -> None:
    """A class that both know keeps what was learnt of it."""
    chooser = np.random.default_rng(77)
    scenes = [scene(chooser) for _ in range(20)]
    splits = [("train", "train", "val", "test")[k % 4] for k in range(20)]
    root = write_scenes(tmp_path / "data", scenes, splits=splits)
    (root / "boxes.csv").write_text((root / "boxes.csv").read_text().replace("disc", "ball"))
    model = learn(root, tmp_path / "m.visto", parent=trained, epochs=1.0)
    assert set(model.classes) == {"square", "ball"}
    assert model.bundle.manifest.preprocess == trained.bundle.manifest.preprocess
    three = [*(replace_class(things, "disc", "owl") if k % 2 else things for k, things in enumerate(scenes))]
    other = write_scenes_named(tmp_path / "three", three, splits)
    wider = learn(other, tmp_path / "w.visto", parent=trained, epochs=1.0)
    assert len(wider.classes) == 3
    assert wider.predict(root / "img" / "0.png", threshold=0).value.xyxy.shape[1] == 4
    judged = visto.evaluate(wider, other)
    assert judged.classes == wider.classes


def replace_class(things: Sequence[Thing], old: str, new: str) -> list[Thing]:
    return [(new if thing[0] == old else thing[0], *thing[1:]) for thing in things]


def write_scenes_named(root: Path, scenes: Sequence[Sequence[Thing]], splits: Sequence[str]) -> Path:
    """Scenes in which some discs have another name."""
    drawn = write_scenes(root, [replace_class(things, "owl", "disc") for things in scenes], splits=splits)
    rows = ["image,class,xmin,ymin,xmax,ymax,split"]
    for k, (things, split) in enumerate(zip(scenes, splits, strict=True)):
        lines = [",".join(map(str, thing)) for thing in things] or [",,,,"]
        rows += [f"img/{k}.png,{line},{split}" for line in lines]
    (root / "boxes.csv").write_text("\n".join(rows) + "\n")
    return drawn


@pytest.mark.timeout(300)
def test_looking_twice(data: Dataset, tmp_path: Path) -> None:
    """Faster R-CNN through training from ImageNet's weights, judging, answering, and fine-tuning on other classes."""
    model = learn(data, tmp_path / "m.visto", model="faster_rcnn", epochs=8.0, scratch=None)
    manifest = model.bundle.manifest
    assert manifest.recipe["pretrained"] and manifest.recipe["frozen"] == 4
    assert manifest.metrics["map50"].value > 0.5
    figures = visto.evaluate(model, data).figures
    assert figures["map50"].value > 0.5
    root = write_scenes(tmp_path / "other", [BOTH] * 8, splits=["train"] * 5 + ["val"] * 2 + ["test"])
    (root / "boxes.csv").write_text((root / "boxes.csv").read_text().replace("disc", "ball"))
    again = learn(root, tmp_path / "again.visto", parent=model, epochs=1.0)
    assert again.bundle.manifest.recipe["frozen"] == 4
    name, old, new = "recogniser.logits.weight", model.classes.index("square"), again.classes.index("square")
    kept, before = again.bundle.weights[name][new], model.bundle.weights[name][old]
    assert again.classes != model.classes and float((kept - before).norm()) < 0.5 * float(before.norm())
