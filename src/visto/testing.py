"""The conformance checks: what every entry of a table must do. Third parties call the same on what they bring.

    from visto.testing import check_export, check_model
    def test_mine() -> None:
        check_model(my_builder)  # check_detector for one that finds boxes, check_sequence_model for one of SEQUENTIAL
        check_export(my_builder)  # of either of the first two; needs visto[export]

A check raises AssertionError that says what is wrong.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from visto.bundle import Manifest, read_own_bundle, write_bundle
from visto.data import FORMATS
from visto.data.dataset import Clip, Dataset, Item, PixelRow, Steps
from visto.errors import GateError
from visto.exporting import check_exportable
from visto.models import DETECTORS, MODELS
from visto.prediction import TorchRecogniser
from visto.preprocess import PREPROCESS
from visto.recipes import Request
from visto.spec import Spec
from visto.tasks import TASKS
from visto.types import Boxes, Future, Label, Labels, Silent, Size, Target, Task, View

Shape = tuple[int, int, int]  # channels, height, width

# digits, MNIST, CIFAR, an odd and oblong one, a photo
SHAPES: tuple[Shape, ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 40), (3, 96, 96))
# of detectors, which want sides that 32 divides
DETECTOR_SHAPES: tuple[Shape, ...] = ((3, 32, 32), (1, 64, 96), (3, 96, 64))


def check_model(builder: Callable[..., nn.Module], shapes: Sequence[Shape] = SHAPES) -> None:
    """A classifier's builder: its shapes, gradients, saving, batching, and that it leaves its input alone."""
    for channels, height, width in shapes:
        for classes in (2, 7):
            torch.manual_seed(0)
            model = builder(classes=classes, channels=channels, size=[height, width])
            images = torch.randn(4, channels, height, width)
            _check_logits(model, images, classes)
            _check_alone(model, images)
            _check_gradients(model, images)
            _check_saving(builder, model, images, classes)


def check_detector(builder: Callable[..., nn.Module], shapes: Sequence[Shape] = DETECTOR_SHAPES) -> None:
    """The same of a detector's builder: boxes in pixels of the input, float32, with x0 ≤ x1 and y0 ≤ y1."""
    for channels, height, width in shapes:
        for classes in (1, 7):
            torch.manual_seed(0)
            model = builder(classes=classes, channels=channels, size=[height, width])
            images = torch.randn(4, channels, height, width)
            _check_boxes_and_logits(model, images, classes)
            _check_alone(model, images, ranked=True)
            _check_gradients(model, images)
            _check_saving(builder, model, images, classes)


def _require(condition: bool, words: str) -> None:
    if not condition:
        raise AssertionError(words)


def _check_logits(model: nn.Module, images: Tensor, classes: int) -> None:
    with torch.no_grad():
        logits = model.eval()(images)["logits"]
    _require(tuple(logits.shape) == (len(images), classes), f"logits are {tuple(logits.shape)}, not N×{classes}")


def _check_boxes_and_logits(model: nn.Module, images: Tensor, classes: int) -> None:
    with torch.no_grad():
        out = model.eval()(images)
    n, places = len(images), out["objectness"].shape[-1]
    for name, wanted in (("logits", (n, places, classes)), ("objectness", (n, places))):
        _require(tuple(out[name].shape) == wanted, f"{name} are {tuple(out[name].shape)}, not {wanted}")
    boxes, known = out["boxes"], ((n, places, 4), (n, places, classes, 4))
    _require(tuple(boxes.shape) in known, f"boxes are {tuple(boxes.shape)}, not {known[0]} or {known[1]}")
    _require(boxes.dtype == torch.float32, f"boxes are {boxes.dtype}, not float32")
    _require(bool((boxes[..., :2] <= boxes[..., 2:]).all()), "a box ends before it begins")


def _check_alone(model: nn.Module, images: Tensor, *, ranked: bool = False) -> None:
    """Finite, the input left alone, and each image answered as if it were the only one.

    ``ranked``: rows stand in an order of their own, which rounding may change where two of them are equally good.
    """
    before = images.clone()
    with torch.no_grad():
        together = model.eval()(images)
        single = [model(image[None]) for image in images]
    _require(torch.equal(images, before), "the input was changed")
    for name, value in together.items():
        _require(bool(torch.isfinite(value).all()), f"{name} are not finite")
        alone = torch.cat([one[name] for one in single])
        same = torch.allclose(value, alone, atol=1e-4)
        if ranked and not same:
            rows, boxes = torch.arange(len(images))[:, None], torch.cat([one["boxes"] for one in single])
            value, alone = value[rows, _places(together["boxes"])], alone[rows, _places(boxes)]
            same = torch.allclose(value, alone, atol=1e-4)
        _require(same, "a batch of one does not equal its row in a batch of n")


def _places(boxes: Tensor) -> Tensor:
    """An order of the rows of N images by where their boxes are: N×A."""
    return boxes.flatten(2).double().sum(2).argsort(1)


def _check_gradients(model: nn.Module, images: Tensor) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return  # what it knows is no function of gradients
    model = copy.deepcopy(model).train()
    total = torch.stack([value.square().sum() for value in model(images).values() if value.requires_grad]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            raise AssertionError(f"no gradient reaches {name}")
        _require(bool(torch.isfinite(parameter.grad).all()), f"the gradient of {name} is not finite")


def _check_saving(
    builder: Callable[..., nn.Module],
    model: nn.Module,
    images: Tensor,
    classes: int,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    arguments = arguments or {"channels": images.shape[1], "size": list(images.shape[2:])}
    spec: Spec[nn.Module] = Spec(name="it", arguments={"classes": classes, **arguments})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
        stored: Spec[nn.Module] = Spec.from_json(json.loads(json.dumps(spec.to_json())))
        again = stored.build({"it": builder}).eval()
        again.load_state_dict(load_file(path))
    with torch.no_grad():
        before, after = model.eval()(images), again(images)
    same = before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    _require(same, "the model that was saved and read again answers otherwise")


def check_export(builder: Callable[..., nn.Module], *, classes: int = 3, shape: Shape = (3, 32, 64)) -> None:
    """A classifier's or a detector's builder: its ONNX graph answers images of any size as torch does.

    By the gate of ``visto export``, with every answer the same. What is fitted must come fitted from the builder.
    Raises UsageError without visto[export].
    """
    check_exportable()
    from visto.exporting.gate import check, exact, parity
    from visto.exporting.graph import body, whole

    bar = replace(exact(0), agreement=1.0, least=0.0)
    channels, height, width = shape
    sizes = (2 * height + 5, width - 1), (height - 1, 3 * width)
    arrays = [_patches(4, (channels, *size), seed=size[0]) for size in sizes]
    with TemporaryDirectory() as folder, patch.dict(MODELS, it=builder):
        recogniser = _recogniser(Path(folder) / "it.visto", classes, shape)
        _tell_apart(recogniser, [recogniser.fit(images) for images in arrays])
        nothing = Boxes(xyxy=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
        target: Target = nothing if recogniser.task.needs == "boxes" else Label(index=0)
        rows = [PixelRow(images.permute(0, 2, 3, 1).numpy(), k) for images in arrays for k in range(len(images))]
        items = [Item(id=f"random image {k}", source=row, target=target) for k, row in enumerate(rows)]
        try:
            graph = whole(recogniser, body(recogniser, "it"))
            check(parity(recogniser, graph, items, bar, Silent()), bar)
        except GateError as error:
            raise AssertionError(error.message) from error


def _patches(n: int, shape: Shape, seed: int) -> Tensor:
    """Images of random patches, uint8 N×C×H×W: unlike plain noise, they differ when seen from afar."""
    coarse = torch.randint(0, 256, (n, shape[0], 6, 5), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse.float(), size=shape[1:]).byte()


def _recogniser(path: Path, classes: int, shape: Shape) -> TorchRecogniser:
    """A bundle, written and read, of the model that the table calls "it"."""
    channels, size = shape[0], list(shape[1:])
    spec: Spec[nn.Module] = Spec(name="it", arguments={"classes": classes, "channels": channels, "size": size})
    scaled = {"mean": [0.5] * channels, "std": [0.25] * channels}
    preprocess: Spec[Any] = Spec(name="standard", arguments={"size": size, "channels": channels, **scaled})
    normalise = preprocess.build(PREPROCESS).normalise
    torch.manual_seed(0)
    model = spec.build(MODELS).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    with torch.no_grad():
        for k in range(10):  # until norms of other kinds know what they see, too
            out = model(normalise(_patches(16, shape, seed=k)))
    manifest = Manifest(
        task="detection" if "boxes" in out else "classification",
        classes=tuple(f"class {k}" for k in range(classes)),
        model=spec,
        preprocess=preprocess,
        head={},
        recipe={},
        data={},
        metrics={},
        holds_training_data=False,
        versions={},
        created="2026-01-31T00:00:00+00:00",
    )
    nothing = torch.zeros(0, 16, dtype=torch.uint8)
    seen = {"train": nothing, "validation": nothing}
    return TorchRecogniser(read_own_bundle(write_bundle(path, manifest, model.state_dict(), seen)))


def _tell_apart(recogniser: TorchRecogniser, fitted: Sequence[Tensor]) -> None:
    """Stretch what goes into the head: a model that has learnt nothing says nearly the same of all images.

    Then whatever its graph does otherwise would hardly be seen in the scores.
    """
    with torch.no_grad():
        out = recogniser.model(recogniser.normalise(torch.cat(list(fitted))))
    known = {}
    for name in ("logits", "objectness"):
        if name in out:
            rows = out[name].flatten(0, -2) if name == "logits" else out[name].flatten()
            deviation, middle = torch.std_mean(rows, 0)
            known[name] = middle, torch.where(deviation > 1e-6, 2 / deviation, 1.0)

    def stretched(_: nn.Module, given: tuple[dict[str, Tensor]]) -> tuple[dict[str, Tensor]]:
        wide = {name: (given[0][name] - middle) * by for name, (middle, by) in known.items()}
        return ({**given[0], **wide},)

    recogniser.task.head.register_forward_pre_hook(stretched)


def check_augmentation(function: Callable[[Tensor, Generator], Tensor]) -> None:
    """An augmentation: shape and range kept, input left alone, and a function of its generator alone."""
    for shape in SHAPES:
        images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
        before = images.clone()
        first, second = (function(images, torch.Generator().manual_seed(3)) for _ in range(2))
        _require(first.shape == images.shape, f"shape {tuple(first.shape)}, not {tuple(images.shape)}")
        _require(torch.equal(images, before), "the input was changed")
        _require(torch.equal(first, second), "two equal generators gave two results")
        _require(float(first.min()) >= -0.01 and float(first.max()) <= 255.01, "pixels outside 0–255")


def check_box_augmentation(function: Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]) -> None:
    """An augmentation of images and boxes: as above, and every box keeps its class and lies in its image."""
    for channels, height, width in SHAPES:
        images = torch.randint(0, 256, (6, channels, height, width), dtype=torch.uint8)
        targets = torch.full((6, 3, 6), -1.0)
        whole = torch.tensor([0.0, 0.0, width, height, 0.0])
        targets[:4, 0] = torch.cat([torch.tensor([3.0]), whole])  # label, x0, y0, x1, y1, ignored
        targets[1, 1] = torch.cat([torch.tensor([1.0]), whole / 2])
        before = images.clone(), targets.clone()
        (out, boxes), second = (function(images, targets, torch.Generator().manual_seed(3)) for _ in range(2))
        _require(out.shape == images.shape, f"shape {tuple(out.shape)}, not {tuple(images.shape)}")
        _require(boxes.shape[::2] == (6, 6), f"targets are {tuple(boxes.shape)}, not 6×M×6")
        _require(torch.equal(images, before[0]) and torch.equal(targets, before[1]), "the input was changed")
        _require(torch.equal(out, second[0]) and torch.equal(boxes, second[1]), "two equal generators, two results")
        _require(float(out.min()) >= -0.01 and float(out.max()) <= 255.01, "pixels outside 0–255")
        real = boxes[boxes[..., 0] >= 0]
        _require(set(real[:, 0].tolist()) <= {1.0, 3.0}, "a class that was not there")
        sides = torch.tensor([width, height, width, height])
        _require(bool((real[:, 1:5] >= 0).all() and (real[:, 1:5] <= sides).all()), "a box reaches past its image")
        _require(bool((real[:, 3:5] > real[:, 1:3]).all()), "a box without area")


def check_dataset(dataset: Dataset) -> None:
    """What a reader gives: unique ids, known splits and classes, labels within them, every rejection with a reason.

    Clips have two frames or more, or one file that moves; series have a finite number everywhere.
    """
    ids = [item.id for item in dataset.items]
    _require(len(set(ids)) == len(ids), "two items have one id")
    _require(dataset.format in FORMATS, f"format {dataset.format!r} is not in the table")
    _require(len(set(dataset.classes)) == len(dataset.classes), "two classes have one name")
    needs = TASKS[dataset.task](classes=("a", "b")).needs
    kind = {"boxes": Boxes, "forecast": Future}.get(needs, Label | Labels)
    for item in dataset.items:
        known = item.target is not None and max(item.target.classes, default=0) < len(dataset.classes)
        _require(known, f"{item.id} has no known class")
        _require(item.split is not None, f"{item.id} is in no split")
        _require(isinstance(item.target, kind), f"{item.id} is no {dataset.task}")
        if isinstance(item.target, Boxes):
            _check_boxes(item.id, item.target)
        _check_source(item)
    for entry in dataset.ledger:
        _require(entry.status == "kept" or bool(entry.reason), f"{entry.id} is {entry.status} without a reason")


def _check_source(item: Item) -> None:
    source = item.source
    if isinstance(source, Clip):
        _require((len(source.files) == 1) if source.moving else (len(source.files) > 1), f"{item.id} is no clip")
    if isinstance(source, Steps):
        whole = source.array.dtype == np.float32 and source.array.ndim == 2 and np.isfinite(source.values).all()
        _require(bool(whole), f"{item.id} is no T×F of float32, finite")
        _require(0 <= source.start < source.stop - 1 < len(source.array), f"{item.id} has fewer than two steps")


def _check_boxes(id: str, boxes: Boxes) -> None:
    """Of a target: float32 edges and int64 labels, every box with an area, its corner in the image; no scores."""
    _require(boxes.xyxy.dtype == torch.float32 and boxes.labels.dtype == torch.int64, f"{id} has odd types")
    _require(bool((boxes.xyxy >= 0).all()), f"{id} has a box that reaches past its image")
    _require(bool((boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all()), f"{id} has a box without area")
    _require(boxes.scores is None and bool((boxes.labels >= 0).all()), f"{id} has scores, or a class below 0")
    _require(boxes.crowd is None or boxes.ignored is not None, f"{id} has crowds that are not ignored")


def check_task(builder: Callable[..., Task[Any, Any]]) -> None:
    """A task: what a bundle keeps builds it again, and answers outlive another order of classes, JSON and drawing."""
    classes = ("a", "b", "c")
    task = builder(classes=classes)
    again = builder(classes=classes, **json.loads(json.dumps(task.arguments())))
    _require(again.arguments() == task.arguments(), "what a bundle keeps of it builds another")
    _require(task.monitor[1] in ("max", "min") and bool(task.decisive), "no figure says which is better")
    _require(task.unsuited <= {field.name for field in fields(Request)} | {"tune"}, "unsuited to options there are not")
    size = Size(height=32, width=32)
    view = View(size=size, to_original=torch.eye(2, 3))
    images, model = torch.rand(2, *((6, 3) if task.needs == "forecast" else (3, 32, 32))), _small(task)
    with torch.no_grad():
        found = task.head(model(images))
        kept = task.head(task.keep(model(images)))
    _require(all(len(value) == 2 for value in found.values()), "the head gives another number of rows than images")
    _require(all(torch.allclose(found[k], kept[k], atol=1e-6) for k in kept), "what is kept loses what it answers")
    places = {0: 2, 1: 0, 2: 1}
    for answer in task.answers(found, [view, view]):
        moved = task.reorder(task.reorder(answer, places), {new: old for old, new in places.items()})
        _require(task.to_json(moved) == task.to_json(answer), "another order of classes, and back, is another answer")
        json.dumps(task.to_json(answer))
        shown = images[0] if task.needs == "forecast" else (images[0] * 255).byte()
        _require(task.draw(shown, answer).startswith(b"\x89PNG"), "the drawing is no PNG")


def _small(task: Task[Any, Any]) -> nn.Module:
    torch.manual_seed(0)
    if task.needs == "forecast":
        return MODELS["forecaster"](classes=3, channels=3, size=[], window=4).eval()
    builder = MODELS[DETECTORS[0] if task.needs == "boxes" else "logistic"]
    return builder(classes=3, channels=3, size=[32, 32]).eval()


# channels and size of what a sequence is made of, by what the steps are; its input is 4 sequences of 6 steps
SEQUENCES: dict[str, tuple[int, list[int]]] = {"rows": (3, [6, 5]), "frames": (3, [16, 16]), "steps": (4, [])}


def check_sequence_model(builder: Callable[..., nn.Module], over: Sequence[str] = tuple(SEQUENCES)) -> None:
    """A builder of what reads step by step, ``over`` what it can: as ``check_model``, padded, and a step at a time."""
    for kind in over:
        channels, size = SEQUENCES[kind]
        arguments = {"over": kind, "channels": channels, "size": size}
        shape = (channels, *size) if kind == "rows" else (6, channels, *size)
        for classes in (2, 7):
            torch.manual_seed(0)
            model, inputs = builder(classes=classes, **arguments), torch.randn(4, *shape)
            _check_logits(model, inputs, classes)
            _check_alone(model, inputs)
            _check_saving(builder, model, inputs, classes, arguments)
            _check_gradients(model, inputs)
            if model.causal:
                _check_streaming(model, inputs, (inputs.transpose(1, 2) if kind == "rows" else inputs).unbind(1))
            if kind != "rows":
                _check_padding(model, inputs)


def _check_padding(model: nn.Module, inputs: Tensor) -> None:
    """Missing steps are NaN: they change no answer, and reach no gradient."""
    lengths = [6, 4, 3, 1]
    padded = torch.stack([s.index_fill(0, torch.arange(k, 6), torch.nan) for s, k in zip(inputs, lengths, strict=True)])
    before = padded.clone()
    with torch.no_grad():
        together = model.eval()(padded)["logits"]
        alone = torch.cat([model(s[None, :k])["logits"] for s, k in zip(inputs, lengths, strict=True)])
    _require(torch.equal(padded.nan_to_num(), before.nan_to_num()), "the input was changed")
    _require(torch.allclose(together, alone, atol=1e-4), "steps that are missing change an answer")
    _check_gradients(model, padded)


def _check_streaming(model: nn.Module, inputs: Tensor, steps: Sequence[Tensor]) -> None:
    """One step after the other ends where the whole does, in a state of fixed shapes, a row for each sequence."""
    model.eval()
    with torch.no_grad():
        whole = model(inputs)
        state = model.start(len(inputs))  # type: ignore[operator]
        shapes = [value.shape for value in state]
        for step in steps:
            out, state = model.step(step, state)  # type: ignore[operator]
            _require([value.shape for value in state] == shapes, "the state's shapes change from step to step")
    _require(all(shape[0] == len(inputs) for shape in shapes), "the state has no row for each sequence")
    same = all(torch.allclose(out[name], whole[name], atol=1e-4) for name in whole)
    _require(same, "step by step it ends otherwise than on the whole")
