"""Several models as one bundle: made, killed and resumed, weighed, judged, and then a bundle like any other."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import visto
from visto.__main__ import run
from visto.bundle import read_bundle
from visto.data.cache import materialise
from visto.errors import UsageError
from visto.models.ensemble import blended, log_scores
from visto.prediction import TorchRecogniser
from visto.recipes import Request
from visto.training import RunFolder
from visto.training.ensemble import made_together, select, verdict
from visto.training.second_look import first_look
from visto.types import Figure

TINY = ["--model", "mlp", "--set", "hidden=[32]", "--epochs", "10", "--threads", "1", "--precision", "fp32"]
SEEDS = (5, 6, 7)


def command(out: Path, *more: str) -> list[str]:
    return ["train", "digits", "-o", str(out), *TINY, "--seed", "5", "--quiet", *more]


def weights(bundle: Path) -> bytes:
    return (bundle / "weights.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ensemble") / "e.visto"
    assert run(command(out, "--ensemble", "3")) == 0
    return out


def test_members_are_the_models_that_their_seeds_make(trained: Path, tmp_path: Path) -> None:
    model = visto.load(trained)
    said = model.bundle.manifest.recipe["ensemble"]
    assert said["seeds"] == list(SEEDS)
    assert sum(said["weights"]) == pytest.approx(1)
    kept = [(seed, weight) for seed, weight in zip(SEEDS, said["weights"], strict=True) if weight]
    assert model.bundle.manifest.model.arguments["weights"] == [weight for _, weight in kept]
    temperatures = model.bundle.manifest.model.arguments["temperatures"]
    images = visto.read("digits").test
    pixels = materialise(images.items, model.recogniser.fit, threads=1).storage[:50]
    scores = torch.zeros(50, 10)
    for place, (seed, weight) in enumerate(kept):
        alone = visto.train(
            "digits",
            tmp_path / f"{seed}.visto",
            model="mlp",
            arguments={"hidden": [32]},
            epochs=10,
            seed=seed,
            precision="fp32",
            threads=1,
        )
        for name, value in alone.bundle.weights.items():
            assert torch.equal(model.bundle.weights[f"members.{place}.{name}"], value)
        assert alone.bundle.manifest.head["temperature"] == temperatures[place]
        member = alone.recogniser
        assert isinstance(member, TorchRecogniser)
        raw = torch.nn.Sequential(*list(member._graph)[:-1])
        with torch.no_grad():
            scores += weight * (raw(pixels)["logits"] / temperatures[place]).softmax(1)
    assert isinstance(model.recogniser, TorchRecogniser)
    with torch.no_grad():
        together = torch.nn.Sequential(*list(model.recogniser._graph)[:-1])(pixels)["logits"]
    assert torch.allclose(together.softmax(1), scores, atol=1e-5)


def test_one_bundle_and_nothing_doubled(trained: Path) -> None:
    left = {path.name for path in trained.with_name("e.run").iterdir()}
    assert {"run.json", "history.jsonl", "ledger.csv"} <= left
    assert not {"members", "state", "features", "curve"} & left
    rows = [json.loads(row) for row in (trained.with_name("e.run") / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 11))
    assert {len(row["members"]) for row in rows} == {3}
    for row in rows:
        losses = [member["validation_loss"] for member in row["members"]]
        assert row["validation_loss"] == pytest.approx(sum(losses) / 3)


def test_every_verb_takes_it(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, quiet = str(trained), ["--threads", "1", "--quiet"]
    assert run(["info", bundle]) == 0
    assert "ensemble" in capsys.readouterr().out
    assert run(["evaluate", bundle, "digits", "--json", *quiet]) == 0
    accuracy = json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"]
    assert accuracy > 0.75
    assert run(["compare", bundle, bundle, "digits", "--json", *quiet]) == 0
    assert json.loads(capsys.readouterr().out)["difference"]["accuracy"]["value"] == 0
    page = tmp_path / "e.html"
    assert run(["report", bundle, "digits", "-o", str(page), *quiet]) == 0
    assert "ensemble" in page.read_text()
    capsys.readouterr()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    assert run(["predict", bundle, str(tmp_path / "a.png"), "--quiet"]) == 0
    assert "a.png  " in capsys.readouterr().out


def test_what_it_is_worth_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(tmp_path / "e.visto", "--ensemble", "2")) == 0
    out = capsys.readouterr().out
    assert "seed 5" in out
    assert "seed 6" in out
    assert "the ensemble " in out


@pytest.mark.timeout(120)
def test_killed_in_the_second_member_it_ends_the_same(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.visto"
    process = subprocess.Popen([sys.executable, "-m", "visto", *command(out, "--ensemble", "3")])
    while not (tmp_path / "e.run" / "members" / "1.run" / "state").exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert (tmp_path / "e.run" / "members" / "0.visto").exists()
    assert not (tmp_path / "e.run" / "members" / "2.run").exists()
    first = (tmp_path / "e.run" / "members" / "0.visto" / "manifest.json").read_bytes()
    assert run(command(out, "--ensemble", "2", "--resume")) == 2
    assert run(command(out)) == 2
    assert (tmp_path / "e.run" / "members" / "0.visto" / "manifest.json").read_bytes() == first
    assert run(command(out, "--resume")) == 0
    assert weights(out) == weights(trained)
    own, other = (visto.load(path).bundle.manifest for path in (out, trained))
    assert own.recipe["ensemble"] == other.recipe["ensemble"]
    assert (own.metrics, own.head) == (other.metrics, other.head)
    assert not (tmp_path / "e.run" / "members").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_killed_at_the_very_end_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "e.visto"

    def killed(folder: RunFolder) -> None:
        if folder.bundle == out:
            raise KeyboardInterrupt
        finish(folder)

    finish = RunFolder.finish
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", killed)
        assert run(command(out, "--ensemble", "2")) == 130
    assert (tmp_path / "e.run" / "members").exists()
    assert run(command(out, "--resume")) == 0
    assert not (tmp_path / "e.run" / "members").exists()


@pytest.mark.parametrize("count", ["0", "1", "21", "two"])
def test_too_few_or_too_many_are_refused(count: str, tmp_path: Path) -> None:
    assert run(command(tmp_path / "e.visto", "--ensemble", count)) == 2
    assert not list(tmp_path.glob("e.*"))


@pytest.mark.parametrize("count", [-1, 1, 21])
def test_python_refuses_them_too(count: int) -> None:
    with pytest.raises(UsageError, match="2 to 20"):
        Request(ensemble=count)


def test_a_member_that_goes_wrong_says_what_to_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = ["--lr", "1e6", "--optimiser", "sgd", "--schedule", "constant", "--ensemble", "2"]
    assert run(command(tmp_path / "e.visto", *broken)) == 2
    assert f"remove {tmp_path / 'e.run'}, then" in capsys.readouterr().err


def test_an_ensemble_is_no_model_to_ask_for(tmp_path: Path) -> None:
    assert run(["train", "digits", "-o", str(tmp_path / "e.visto"), "--model", "ensemble", "--quiet"]) == 2


def test_fine_tuned_members_and_a_fine_tuned_ensemble(trained: Path, tmp_path: Path) -> None:
    data = visto.read("digits")
    several = visto.train(data, tmp_path / "a.visto", start_from=trained, epochs=0.2, threads=1)
    assert several.bundle.manifest.model.name == "ensemble"
    assert visto.evaluate(several, data).figures["accuracy"].value > 0.75
    alone = visto.train(data, tmp_path / "b.visto", model="mlp", arguments={"hidden": [8]}, epochs=2, threads=1)
    tuned = visto.train(data, tmp_path / "c.visto", start_from=alone, ensemble=2, epochs=0.2, threads=1)
    assert {member["name"] for member in tuned.bundle.manifest.model.arguments["members"]} == {"mlp"}


SPEEDRUN = {"model": "speedrun", "arguments": {"widths": [8, 16]}, "epochs": 4, "ensemble": 2, "threads": 1}


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two equal weights; the first member has kept its second look, the other has not."""
    out, losses = tmp_path_factory.mktemp("looked") / "e.visto", iter([1.0, 0.5, 0.5, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("visto.training.second_look._loss", lambda *_: next(losses))
        patch.setattr("visto.training.ensemble._FEWEST_IMAGES", 10**9)
        visto.train("digits", out, **SPEEDRUN)  # type: ignore[arg-type]
    return out


def test_members_keep_their_second_look(looked: Path) -> None:
    model = visto.load(looked)
    arguments = model.bundle.manifest.model.arguments
    assert [member["name"] for member in arguments["members"]] == ["second_look", "speedrun"]
    assert arguments["members"][0]["arguments"]["margin"] > 0
    assert arguments["weights"] == [0.5, 0.5]
    assert visto.evaluate(model, "digits").figures["accuracy"].value > 0.9
    assert not (looked.with_suffix(".run") / "members").exists()


def test_fine_tuned_is_what_looked_first(looked: Path, tmp_path: Path) -> None:
    whole = read_bundle(looked)
    inner = first_look(whole)
    assert [member["name"] for member in inner.manifest.model.arguments["members"]] == ["speedrun", "speedrun"]
    assert not any(name.startswith("members.0.model.") for name in inner.weights)
    assert len(inner.weights) == len(whole.weights)
    assert first_look(inner) is inner
    tuned = visto.train("digits", tmp_path / "a.visto", start_from=looked, epochs=0.1, threads=1)
    assert visto.evaluate(tuned, "digits").figures["accuracy"].value > 0.9
    assert tuned.bundle.manifest.model.name == "ensemble"
    again = visto.train("digits", tmp_path / "b.visto", start_from=looked, epochs=0.1, ensemble=2, threads=1)
    assert visto.evaluate(again, "digits").figures["accuracy"].value > 0.9


def test_what_cannot_be_loaded_is_not_written_and_takes_no_member_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "e.visto"
    with monkeypatch.context() as patch:
        patch.setattr("visto.training.ensemble._spec", lambda members, *_: members[0].manifest.model)
        assert run(command(out, "--ensemble", "2")) != 0
    assert not out.exists()
    assert len(list((tmp_path / "e.run" / "members").glob("*.visto"))) == 2
    assert run(command(out, "--resume")) == 0
    visto.load(out)


def test_smoothed_labels_do_not_take_the_surest_for_the_best(tmp_path: Path) -> None:
    manifest = visto.train("digits", tmp_path / "e.visto", **SPEEDRUN).bundle.manifest  # type: ignore[arg-type]
    said = manifest.recipe["ensemble"]
    best = min(figures["log_loss"] for figures in said["figures"])
    assert manifest.metrics["log_loss"].value < best + 0.002
    assert max(manifest.model.arguments["temperatures"]) < 0.7


def test_what_the_members_took_is_told_together() -> None:
    first = {"seed": 3, "seconds": 10.0, "waiting": 0.1, "peak_memory": 500}
    second = {"seed": 4, "seconds": 30.0, "waiting": 0.2, "peak_memory": 400}
    assert made_together([first, second]) == {"seed": 3, "seconds": 40.0, "waiting": 0.175, "peak_memory": 500}
    assert made_together([first, {"seconds": 5.04}]) == {"seed": 3, "seconds": 15.0}


def test_several_labels_an_image(tmp_path: Path) -> None:
    chooser, rows = np.random.default_rng(0), ["path,label"]
    for k in range(160):
        pixels, has = chooser.integers(0, 60, (8, 8), dtype=np.uint8), chooser.random(2) < 0.5
        pixels[:4] += np.uint8(120) * has[0]
        pixels[4:] += np.uint8(120) * has[1]
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,{'|'.join(name for name, yes in zip(('up', 'down'), has, strict=True) if yes) or '|'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    model = visto.train(
        tmp_path / "labels.csv",
        tmp_path / "e.visto",
        model="mlp",
        arguments={"hidden": [8]},
        epochs=20,
        batch_size=16,
        ensemble=2,
        threads=1,
    )
    spec = model.bundle.manifest.model
    assert (spec.arguments["blend"], spec.arguments["weights"]) == ("sigmoid", [0.5, 0.5])  # too few to weigh them
    assert all(t != 1 for t in spec.arguments["temperatures"])
    assert visto.evaluate(model, tmp_path / "labels.csv").figures["micro_f1"].value > 0.9


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 5), st.sampled_from(["softmax", "sigmoid"]))
def test_on_the_very_images_none_is_better(seed: int, members: int, classes: int, blend: str) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(members, 30, classes, generator=random)
    truth = torch.randint(classes, (30,), generator=random)
    yes = F.one_hot(truth, classes).float()

    def loss(found: torch.Tensor) -> float:
        if blend == "softmax":
            return float(F.cross_entropy(found, truth))
        return float(F.binary_cross_entropy_with_logits(found, yes))

    scores = log_scores(logits, blend)
    counts = select(scores, loss)
    kept = [k for k, count in enumerate(counts) if count]
    shares = torch.tensor([counts[k] for k in kept]) / sum(counts)
    assert loss(blended(scores[:, kept], shares)) <= min(loss(one) for one in logits) + 1e-5


def test_an_unsure_member_is_weighed_as_it_is_calibrated() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (300,), generator=random)
    good, worse = (k * F.one_hot(truth, 3) + torch.randn(300, 3, generator=random) for k in (4.0, 2.4))
    smoothed = torch.stack([0.1 * good, worse])
    counts = select(
        log_scores(smoothed, "softmax", torch.tensor([0.1, 1.0])), lambda found: float(F.cross_entropy(found, truth))
    )
    assert counts[0] > counts[1]


def test_a_useless_member_is_left_out() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (300,), generator=random)
    good = 3 * F.one_hot(truth, 3) + torch.randn(2, 300, 3, generator=random)
    useless = 4 * torch.randn(1, 300, 3, generator=random)
    counts = select(
        log_scores(torch.cat([useless, good]), "softmax"), lambda found: float(F.cross_entropy(found, truth))
    )
    assert counts[0] == 0
    assert min(counts[1:]) > 0


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.03, "the ensemble is better than"),
        (-0.03, -0.001, "train that one alone with --seed 7"),
        (-0.01, 0.03, "not surely better"),
        (None, None, "no difference in accuracy"),
    ],
)
def test_the_verdict_is_what_the_interval_bears(low: float | None, high: float | None, words: str) -> None:
    found = {"accuracy": Figure(value=0.01, low=low, high=high)}
    assert words in verdict(found, "accuracy", "max", seed=7, n=100)


def test_where_less_is_better_less_is_better() -> None:
    found = {"error": Figure(value=-0.01, low=-0.02, high=-0.001)}
    assert "is better than" in verdict(found, "error", "min", seed=7, n=100)


def test_better_scores_are_said_where_answers_are_not_better() -> None:
    found = {
        "accuracy": Figure(value=0.0, low=-0.01, high=0.01),
        "log_loss": Figure(value=-0.02, low=-0.03, high=-0.01),
    }
    assert "its scores are better: log_loss -0.0200" in verdict(found, "accuracy", "max", seed=7, n=100)
