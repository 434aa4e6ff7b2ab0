"""Several labels an image, from the list to the answer: train, resume, evaluate, predict, info."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.training.killing import VISTO, killed

import visto
from visto.__main__ import run
from visto.data.dataset import Dataset, Item, PixelRow
from visto.errors import DataError
from visto.preprocess import Fit
from visto.training.prepare import Prepared, prepare
from visto.types import Labels, Silent, Size, Split

CORNERS = ("north-west", "north-east", "south-west", "south-east")
SAME = ("--threads", "1", "--precision", "fp32")  # what a run chooses by itself rests on measured times
SETTINGS = ("--model", "mlp", "--set", "hidden=[16]", "--epochs", "30", "--batch-size", "16", *SAME)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


def corners(root: Path, n: int, seed: int) -> Path:
    """Pictures of noise with bright corners, and a list of which: any number of them, none too."""
    chooser = np.random.default_rng(seed)
    (root / "img").mkdir(parents=True)
    rows = ["path,label"]
    for k in range(n):
        pixels = chooser.integers(0, 60, (8, 8), dtype=np.uint8)
        bright = chooser.random(4) < 0.4
        for y, x in (divmod(int(c), 2) for c in bright.nonzero()[0]):
            pixels[4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 120
        Image.fromarray(pixels).save(root / "img" / f"{k}.png")
        rows.append(f"img/{k}.png,{'|'.join(CORNERS[c] for c in bright.nonzero()[0]) or '|'}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and the bundle ``m.visto`` made from it."""
    folder = tmp_path_factory.mktemp("several")
    corners(folder / "data", 240, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(folder / "cache"))
        assert run(["train", str(folder / "data"), "-o", str(folder / "m.visto"), *SETTINGS, "--quiet"]) == 0
    return folder


def test_the_bundle_is_multi_label(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = visto.load(trained / "m.visto")
    manifest = model.bundle.manifest
    assert manifest.task == manifest.recipe["task"] == "multilabel"
    assert set(manifest.classes) == set(CORNERS)
    assert len(manifest.head["thresholds"]) == 4
    assert manifest.metrics["micro_f1"].value > 0.95
    history = [json.loads(line) for line in (trained / "m.run" / "history.jsonl").read_text().splitlines()]
    assert history[-1]["validation_micro_f1"] > 0.95
    assert run(["info", str(trained / "m.visto")]) == 0
    assert "multilabel, 4 classes" in capsys.readouterr().out


def test_it_is_judged_on_what_it_has_not_seen(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(trained / "m.visto"), str(trained / "data"), "--json", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "multilabel"
    assert found["overlap"]["left_out"] > 150
    assert found["metrics"]["micro_f1"]["value"] > 0.95
    assert {"exact_match", "hamming_accuracy", "mean_average_precision", "ece"} <= found["metrics"].keys()
    counts = found["decisions"]
    assert [sum(counts[kind][k] for kind in ("tp", "fp", "fn", "tn")) for k in range(4)] == [found["n"]] * 4


def test_it_is_judged_on_lists_of_one_label_too(trained: Path, tmp_path: Path) -> None:
    other = corners(tmp_path / "other", 60, 9)
    rows = (other / "labels.csv").read_text().splitlines()
    single = [row for row in rows if "|" not in row]
    (other / "labels.csv").write_text("\n".join(single))
    assert visto.read(other).task == "classification"
    found = visto.evaluate(visto.load(trained / "m.visto"), other)
    assert found.n == len(single) - 1
    assert found.figures["micro_f1"].value > 0.9


def test_a_model_of_one_label_is_not_judged_on_several(trained: Path, tmp_path: Path) -> None:
    data = corners(tmp_path / "other", 80, 9)
    text = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join(row for row in text if "|" not in row))
    model = visto.train(data, tmp_path / "one.visto", model="mlp", epochs=1, arguments={"hidden": [4]}, threads=1)
    with pytest.raises(DataError, match="several labels"):
        visto.evaluate(model, trained / "data")


def test_predict_says_the_labels(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.full((8, 8), 30, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    pixels[:4] = 150
    Image.fromarray(pixels).save(tmp_path / "1.png")

    def said(*more: str) -> list[str]:
        arguments = ["predict", str(trained / "m.visto"), str(tmp_path), "--quiet", "--threads", "1", *more]
        assert run(arguments) == 0
        return capsys.readouterr().out.splitlines()

    none, north = said()
    assert none.startswith("0.png  none (best: ")
    assert sorted(word.split(" ")[0] for word in north.split("  ")[1:]) == ["north-east", "north-west"]
    documents = [json.loads(line) for line in said("--json")]
    assert (documents[0]["labels"], documents[0]["answers"], documents[0]["abstain"]) == ([], [], False)
    assert set(documents[1]["labels"]) == {"north-east", "north-west"}
    assert [a["label"] for a in documents[1]["answers"]] == documents[1]["labels"]
    best = [json.loads(line) for line in said("--json", "--top", "3")]
    assert [len(document["answers"]) for document in best] == [3, 3]
    assert best[1]["labels"] == documents[1]["labels"]
    none, north = said("--top", "3")
    assert north.count("(") == 1
    none, north = said("--threshold", "1")
    assert north.endswith("(abstains: no label scores 1 or more)")
    assert "abstains" not in none
    assert run(["predict", str(trained / "m.visto"), str(tmp_path), "--confidence", "0.9", "--quiet"]) == 2


@pytest.mark.timeout(120)
def test_a_killed_run_ends_the_same(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.visto"
    command = ["train", str(trained / "data"), "-o", str(out), *SETTINGS, "--quiet"]
    killed([*VISTO, *command], (tmp_path / "m.run" / "state").exists)
    assert run([*command, "--resume"]) == 0
    assert (out / "weights.safetensors").read_bytes() == (trained / "m.visto/weights.safetensors").read_bytes()


def test_a_resumed_run_wants_the_same_labels(trained: Path, tmp_path: Path) -> None:
    data = corners(tmp_path / "data", 60, 1)
    out = tmp_path / "m.visto"
    arguments = ["train", str(data), "-o", str(out), *SETTINGS, "--quiet"]
    assert run([*arguments, "--lr", "1e6", "--optimiser", "sgd", "--schedule", "constant"]) == 2
    text = (data / "labels.csv").read_text()
    (data / "labels.csv").write_text(text.replace("north-west|", "", 1))
    assert run([*arguments, "--resume"]) == 3


def dataset(*rows: tuple[Split, tuple[int, ...]], classes: tuple[str, ...] = ("a", "b")) -> Dataset:
    array = np.stack([np.full((4, 4, 1), k, dtype=np.uint8) for k in range(len(rows))])
    items = tuple(
        Item(id=f"{k}", source=PixelRow(array, k), target=Labels(classes=found), split=split)
        for k, (split, found) in enumerate(rows)
    )
    return Dataset(name="made", format="list", task="multilabel", classes=classes, items=items)


class Heard(Silent):
    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


def prepared(data: Dataset, voice: Heard) -> Prepared:
    return prepare(data, Fit(size=Size(height=4, width=4), channels=1), threads=1, voice=voice)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("train", (0, 1)), ("train", (0, 1)), ("validation", (0,))], "same labels"),
        ([("train", (0,)), ("train", ()), ("validation", (1,))], "'b' has images in validation but none to train"),
        ([("train", (0,)), ("train", (1,))], "too few"),
    ],
)
def test_what_cannot_be_learnt_is_refused(rows: list[tuple[Split, tuple[int, ...]]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepared(dataset(*rows), Heard())


def test_one_class_is_enough_where_some_lack_it() -> None:
    voice = Heard()
    found = prepared(dataset(("train", (0,)), ("train", ()), ("validation", (0,)), classes=("a",)), voice)
    assert len(found.train.items) == 2
    assert not voice.words


def test_a_class_that_is_everywhere_is_said() -> None:
    voice = Heard()
    prepared(dataset(("train", (0, 1)), ("train", (0,)), ("validation", (0,))), voice)
    assert voice.words == ["class 'a' is in every training image: there is nothing to tell it from"]


def test_one_picture_with_two_sets_of_labels_is_said() -> None:
    data = dataset(("train", (0, 1)), ("train", ()), ("train", (0,)), ("validation", (0,)))
    double = Item(id="double", source=data.items[0].source, target=Labels(classes=()), split="train")
    voice = Heard()
    found = prepared(
        Dataset(name="made", format="list", task="multilabel", classes=data.classes, items=(*data.items, double)), voice
    )
    (reason,) = [entry.reason for entry in found.ledger if entry.reason]
    assert reason == "same content as another, with another label (|, not a|b)"


def test_yes_or_no_is_a_task(tmp_path: Path) -> None:
    data = corners(tmp_path / "data", 120, 3)
    rows = (data / "labels.csv").read_text().splitlines()[1:]
    marked = [f"{row.split(',')[0]},{'sunny' if 'north-west' in row else '|'}" for row in rows]
    (data / "labels.csv").write_text("\n".join(["path,label", *marked]))
    settings = {"hidden": [16]}
    out = tmp_path / "m.visto"
    model = visto.train(data, out, model="mlp", arguments=settings, epochs=30, batch_size=16, threads=1)
    assert model.classes == ("sunny",)
    assert visto.evaluate(model, data).figures["f1"].value > 0.9
