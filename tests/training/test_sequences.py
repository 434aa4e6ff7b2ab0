"""Clips and series from the folder to the answer: what is learnt, what is kept, and that a killed run goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.killing import VISTO, killed
from torch import nn

import visto
from visto.__main__ import run
from visto.bundle import read_bundle
from visto.data.augment_steps import STEP_AUGMENTATIONS, augment_steps
from visto.data.cache import materialise
from visto.data.dataset import Dataset, Item, Steps
from visto.data.group import grouped
from visto.data.loader import gather
from visto.errors import DataError, UsageError
from visto.learn import FrameFeed, Recipe
from visto.learn.engine import Engine
from visto.models.cnn_lstm import CnnLstm, cnn_lstm
from visto.preprocess import Fit
from visto.spec import Spec
from visto.tasks import TASKS
from visto.types import Label, Silent, Size

SMALL = {"depth": 1, "width": 4, "hidden": 16}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars that move to the right, or to the left: each frame alone says nothing. 4 to 7 frames of 12×12."""
    root, noise = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for number in range(60):
        way = ("left", "right")[number % 2]
        folder = root / way / f"{number:02}"
        folder.mkdir(parents=True)
        steps = int(noise.integers(4, 8))
        at = noise.integers(0, 12)
        for step in range(steps):
            frame = noise.integers(0, 40, (12, 12), dtype=np.uint8)
            frame[:, (at + (step if way == "right" else -step)) % 12] = 220
            Image.fromarray(frame).save(folder / f"{step:03}.png")
    return root


def trained_on(clips: Path, out: Path, **options: object) -> visto.Model:
    return visto.train(clips, out, model="cnn_lstm", arguments=SMALL, threads=1, samples=False, **options)  # type: ignore[arg-type]


def test_order_is_learnt(clips: Path, tmp_path: Path) -> None:
    # a mirrored clip moves the other way: nothing may be mirrored
    model = trained_on(clips, tmp_path / "m.visto", scratch=True, epochs=30, lr=0.01, augmentation=[])
    judged = visto.evaluate(model, clips, split="test", threads=1)
    assert judged.task == "sequence"
    assert judged.figures["accuracy"].value > 0.8
    manifest = read_bundle(tmp_path / "m.visto").manifest
    assert manifest.preprocess.arguments["every"] == 1
    assert visto.evaluate(visto.load(tmp_path / "m.visto"), clips, split="test").figures == judged.figures


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [["--scratch"], ["--size", "32", "--views", "1"]])
def test_a_killed_run_ends_the_same(clips: Path, tmp_path: Path, how: list[str]) -> None:
    settings = ["--model", "cnn_lstm", "--set", "hidden=8", *how, "--epochs", "2"]
    settings += ["--threads", "1", "--precision", "fp32", "--no-samples"]

    def command(out: Path, *more: str) -> list[str]:
        return ["train", str(clips), "-o", str(out), *settings, "--quiet", *more]

    assert run(command(tmp_path / "a.visto")) == 0
    killed([*VISTO, *command(tmp_path / "b.visto")], (tmp_path / "b.run" / "state").exists)
    assert run(command(tmp_path / "b.visto", "--resume")) == 0
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("a.visto", "b.visto"))
    assert one == other


def test_a_frozen_encoder_gives_what_the_model_sees(clips: Path, tmp_path: Path) -> None:
    data = visto.read(clips)
    fit = Fit(size=Size(height=12, width=12), channels=1, every=1)
    pixels = materialise(data.items, fit, threads=1)
    arguments = {"classes": 2, "channels": 1, "size": [12, 12], "over": "frames", "motion": True, **SMALL}
    recipe = Recipe(
        task="sequence",
        model=Spec(name="cnn_lstm", arguments=arguments),
        preprocess=Spec(name="standard", arguments={**fit.arguments, "mean": [0.5], "std": [0.5]}),
        learner="transfer",
        batch_size=8,
    )
    feed = FrameFeed(recipe, TASKS["sequence"](classes=data.classes), pixels, pixels, None, tmp_path / "features")
    feed.prepare(Engine(precision="fp32", device="cpu"), Silent())
    batch = feed.batch(0)
    module = feed.module().eval()
    assert isinstance(feed.model, CnnLstm)
    with torch.no_grad():
        ours = module(batch.inputs["images"])["logits"]
        for row, logits in zip(batch.rows.tolist(), ours, strict=True):
            whole = feed.model(feed.normalise(gather(pixels, torch.tensor([row]))))["logits"][0]
            torch.testing.assert_close(logits, whole, atol=1e-4, rtol=1e-4)
    again: nn.Module = recipe.model.build({"cnn_lstm": cnn_lstm})
    again.load_state_dict(feed.whole(feed.module().state_dict()))


def test_series_are_learnt(tmp_path: Path) -> None:
    """Rising or falling, 5 to 30 steps of 2 numbers, of which one is noise."""
    noise = np.random.default_rng(0)
    parts, items, start = [], [], 0
    for number in range(80):
        length, kind = int(noise.integers(5, 30)), number % 2
        values = noise.normal(size=(length, 2))
        values[:, 0] += np.linspace(0, 4, length) * (1 if kind else -1)
        parts.append(values)
        items.append((number, start, start + length, kind))
        start += length
    array = np.concatenate(parts).astype(np.float32)
    splits = ("train", "train", "train", "validation", "test")
    data = Dataset(
        name="trends",
        format="npz",
        task="sequence",
        classes=("falling", "rising"),
        items=tuple(
            Item(str(k), Steps(array, a, b), Label(index=kind), split=splits[k % 5])  # type: ignore[arg-type]
            for k, a, b, kind in items
        ),
        declared=frozenset({"train", "validation", "test"}),
    )
    model = visto.train(data, tmp_path / "m.visto", epochs=25, arguments={"hidden": 16}, threads=1, samples=False)
    assert model.bundle.manifest.model.name == "lstm"
    assert visto.evaluate(model, data).figures["accuracy"].value > 0.9


@pytest.mark.parametrize("model", ["cnn", "svm", "yolo"])
def test_models_of_images_are_refused(clips: Path, tmp_path: Path, model: str) -> None:
    with pytest.raises(UsageError, match=f"the model {model} for sequence"):
        visto.train(clips, tmp_path / "m.visto", model=model)


def test_clips_only_is_refused_for_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model cnn_lstm for classification"):
        visto.train("digits", tmp_path / "m.visto", model="cnn_lstm")


@pytest.mark.parametrize("name", STEP_AUGMENTATIONS)
@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_augmentation_in_time(name: str, length: int) -> None:
    for seed in range(20):
        one, same = (augment_steps(length, [name], torch.Generator().manual_seed(seed)) for _ in range(2))
        assert torch.equal(one, same)
        assert bool((one.diff() >= 0).all()), "time runs forward"
        assert min(length, 2) <= len(one) <= length / 0.75 + 1
        assert int(one.min()) >= 0 and int(one.max()) < length


def test_inputs_of_another_kind_are_refused(clips: Path, tmp_path: Path) -> None:
    model = trained_on(clips, tmp_path / "m.visto", scratch=True, epochs=1)
    with pytest.raises(DataError, match="digits has images, the model is for clips"):
        visto.evaluate(model, "digits")
    with pytest.raises(UsageError, match="the data is for classification"):
        visto.train("digits", tmp_path / "n.visto", start_from=model)
    images = visto.train("digits", tmp_path / "i.visto", model="majority", threads=1, samples=False)
    with pytest.raises(DataError, match="clips, the model is for images"):
        visto.evaluate(images, clips)


def test_a_long_clip_is_looked_at_in_parts() -> None:
    torch.manual_seed(0)
    model = cnn_lstm(classes=2, channels=1, size=[8, 8], width=4, motion=True).eval()
    clip = torch.randn(1, 150, 1, 8, 8)
    with torch.no_grad():
        whole = model.describe(clip)
        torch.testing.assert_close(whole[:, :20], model.describe(clip[:, :20]))


def test_people_are_one_however_they_are_written(tmp_path: Path) -> None:
    array = np.zeros((4, 1), np.float32)
    items = tuple(
        Item(f"{kind}/{name}_{kind}_{take}", Steps(array, 0, 4), Label(index=k))
        for k, kind in enumerate(("walk", "run"))
        for number, person in enumerate(("anna", "ben", "carl", "dora"))
        for take in range(2)
        for name in (person.title() if (take + number) % 2 else person,)
    )
    data = Dataset(name="people", format="made", task="sequence", classes=("walk", "run"), items=items)
    found = grouped(data, None)
    assert len({item.group for item in found.items}) == 4
