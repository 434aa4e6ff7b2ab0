"""``visto tune``, end to end on embedded real data: what is tried, what is kept, and what a kill costs."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.training.killing import killed

import visto
from visto.__main__ import run
from visto.bundle import read_bundle, seen_before
from visto.data import read
from visto.errors import Interrupted, UsageError
from visto.learn import gradient
from visto.learn.engine import Engine
from visto.training.tuning import search
from visto.training.tuning.trial import attempt

TINY = ["--model", "mlp", "--set", "hidden=[16]", "--epochs", "6", "--trials", "8", "--threads", "1", "--quiet"]

# the precision that a run chooses by itself rests on measured times: another run may choose another
IN_FP32 = """
import visto.learn.gradient as learner
from visto.__main__ import main
from visto.learn.engine import Engine
learner.choose = lambda wanted, device, *_: Engine(precision="fp32", device=device)
main()
"""


@pytest.fixture(scope="module", autouse=True)
def in_fp32() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "choose", lambda wanted, device, *_: Engine(precision="fp32", device=device))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def command(out: Path | str, *more: str) -> list[str]:
    return ["tune", "digits", "-o", str(out), *TINY, *more]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose settings were chosen without a break."""
    out = tmp_path_factory.mktemp("tuned") / "t.visto"
    assert run(command(out)) == 0
    return out


def content(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out.with_suffix(".run") / "tuning.json").read_text())
    return document


def without_seconds(document: dict[str, Any]) -> dict[str, Any]:
    for trial in document["trials"]:
        trial.pop("seconds")
    return document


def weights(out: Path) -> bytes:
    return (out / "weights.safetensors").read_bytes()


def test_the_default_is_tried_first_and_all_is_kept(tuned: Path) -> None:
    found = content(tuned)
    names = [choice["name"] for choice in found["choices"]]
    # the layers were given, so depth and width are not chosen; an mlp has no kernel
    assert names == ["lr", "weight_decay", "l1", "label_smoothing", "dropout", "augment", "activation"]
    assert found["trials"][0]["values"] == {choice["name"]: choice["default"] for choice in found["choices"]}
    assert len(found["trials"]) == 8
    assert sum(choice["importance"] for choice in found["choices"]) == pytest.approx(1, abs=0.01)
    assert found["epochs"] == {"trial": 2, "last": 6, "default": 6}
    whole = [trial for trial in found["trials"] if trial["outcome"] == "complete"]
    assert found["importance_from"] == len(whole) >= 6
    assert found["trials"][found["best"]]["figure"] == max(trial["figure"] for trial in whole)
    assert all(trial["curve"][-1][1] == trial["figure"] for trial in whole)


def test_the_winner_is_written_only_where_it_is_surely_better(tuned: Path) -> None:
    found, manifest = content(tuned), read_bundle(tuned).manifest
    comparison = found["comparison"]
    better = comparison is not None and (comparison["difference"]["accuracy"]["low"] or 0) > 0
    assert found["kept"] == ("winner" if better else "default")
    kept = {choice["name"]: choice[found["kept"]] for choice in found["choices"]}
    assert manifest.recipe["lr"] == kept["lr"]
    assert "+".join(manifest.recipe["augmentation"]) or kept["augment"] == "none"
    assert manifest.model.arguments.get("activation", "relu") == kept["activation"]
    assert manifest.recipe["tuning"]["words"] == found["words"]
    if comparison is not None:
        assert manifest.metrics["accuracy"].value == comparison[found["kept"]]["accuracy"]["value"]


def test_nothing_but_the_record_is_left(tuned: Path) -> None:
    folder = tuned.with_suffix(".run")
    names = {path.name for path in folder.iterdir()}
    assert names == {"history.jsonl", "ledger.csv", "lock", "report.html", "run.json", "study.jsonl", "tuning.json"}
    assert "How its settings were chosen" in (folder / "report.html").read_text()
    assert visto.load(tuned).tuning == content(tuned)


def test_trials_never_see_the_validation_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grounds: list[Any] = []
    plain = search.search

    def noting(ground: Any, voice: Any) -> Any:
        grounds.append(ground)
        return plain(ground, voice)

    monkeypatch.setattr("visto.training.tuning.run.search", noting)
    model = visto.tune(
        "digits", tmp_path / "a.visto", model="mlp", arguments={"hidden": [8]}, epochs=1, trials=1, threads=1
    )
    parts, seen = grounds[0].parts.prepared, model.bundle.seen
    learn, held = parts.train, parts.validation
    assert not seen_before(learn.digests, seen["validation"]).any()
    assert not seen_before(held.digests, seen["validation"]).any()
    assert not seen_before(held.digests, learn.digests).any()
    assert len(learn) + len(held) <= model.bundle.manifest.data["train"]
    share = [len([i for i in held.items if i.target is not None and i.target.classes == (k,)]) for k in range(10)]
    assert all(15 <= n <= 35 for n in share)
    assert model.tuning is not None
    assert model.tuning["words"] == "nothing was tried beside the default, which was kept"


def test_what_was_tried_before_a_stop_is_not_tried_again(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plain, calls = tmp_path / "t.visto", attempt, []

    def stopping(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 4:
            raise Interrupted("stopped")
        return plain(*arguments, **more)

    monkeypatch.setattr(search, "attempt", stopping)
    assert run(command(out)) == 130
    assert not out.exists()
    assert run(command(out)) == 2
    assert "go on with it: --resume" in capsys.readouterr().err
    assert run(["train", "digits", "-o", str(out), "--resume", "--quiet"]) == 2
    assert "started by visto tune" in capsys.readouterr().err
    assert run(["tune", "digits", "-o", str(out), "--resume", "--search", "lr", "--threads", "1", "--quiet"]) == 2
    assert run(["tune", "digits", "-o", str(out), "--resume", "--threads", "1", "--quiet"]) == 0
    assert len(calls) == 9
    assert without_seconds(content(out)) == without_seconds(content(tuned))
    assert weights(out) == weights(tuned)
    capsys.readouterr()
    assert run(["tune", "digits", "-o", str(out), "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tuning"] == content(out)


@pytest.mark.timeout(120)
def test_killed_half_way_it_goes_on(tuned: Path, tmp_path: Path) -> None:
    out, journal = tmp_path / "t.visto", tmp_path / "t.run" / "study.jsonl"
    killed(["-c", IN_FP32, *command(out)], lambda: journal.exists() and journal.read_text().count('"result"') >= 3)
    assert not out.exists()
    with journal.open("a") as file:
        file.write('{"op_code": 4, "half a line')
    assert run(command(out, "--resume")) == 0
    assert without_seconds(content(out)) == without_seconds(content(tuned))
    assert weights(out) == weights(tuned)


def test_stopped_in_the_last_trainings_the_choice_stands(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.visto"
    with monkeypatch.context() as patch:
        patch.setattr("visto.training.tuning.run.record", lambda *_: 1 / 0)
        assert run(command(out)) == 1
    assert (tmp_path / "t.run" / "tuning" / "default.visto").exists()
    with monkeypatch.context() as patch:  # neither a trial nor a training is made again
        patch.setattr(search, "attempt", lambda *_, **__: 1 / 0)
        patch.setattr("visto.training.tuning.last.carry_out", lambda *_: 1 / 0)
        assert run(command(out, "--resume")) == 0
    assert without_seconds(content(out)) == without_seconds(content(tuned))
    assert weights(out) == weights(tuned)


def test_a_budget_is_shared_out(tmp_path: Path) -> None:
    model = visto.tune(
        "digits",
        tmp_path / "b.visto",
        model="mlp",
        arguments={"hidden": [8]},
        search=["lr", "dropout"],
        epochs=6,
        budget=40.0,
        trials=3,
        threads=1,
    )
    found = model.tuning
    assert found is not None
    assert [choice["name"] for choice in found["choices"]] == ["lr", "dropout"]
    assert 1 <= len(found["trials"]) <= 3
    assert 0 < found["epochs"]["last"] <= found["epochs"]["default"]
    assert model.bundle.manifest.recipe["budget"] == 0


def test_it_is_printed(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(tuned, "--resume")) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("8 trials on ")
    assert lines[1].split() == ["choice", "default", "winner", "importance"]
    assert lines[2].split()[:2] == ["lr", "0.002"]
    assert content(tuned)["words"] in printed.out
    assert printed.err == ""
    said = run(
        ["tune", "digits", "-o", "s.visto", "--model", "mlp", "--epochs", "1", "--trials", "2", "--threads", "1"]
    )
    assert said == 0
    err = capsys.readouterr().err
    assert "trial  0  accuracy 0." in err
    assert "trial  1  " in err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--search", "kernel"], 2, "expected: some of lr, weight_decay"),
        (["--search", "nonsense"], 2, "no such choice"),
        (["--model", "ensemble"], 2, "no model to begin with"),
        (["--model", "nothing"], 2, "no model 'nothing'"),
        (["--budget", "1s"], 5, "is spent before the first step"),
        (["--budget", "soon"], 2, "a duration of 'soon'"),
    ],
)
def test_what_cannot_be_done_is_said(
    options: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tune", "digits", "-o", "x.visto", "--threads", "1", "--model", "mlp", *options]) == code
    assert words in capsys.readouterr().err
    assert not Path("x.visto").exists()


def test_without_optuna_it_is_said_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "visto.training.tuning.study", raising=False)
    assert run(["tune", "digits", "-o", "x.visto", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "error: visto tune needs Optuna, which is not installed\n  install it: pip install 'visto[tune]'\n"
    )
    assert not Path("x.run").exists()


def test_too_few_images_to_hold_some_out() -> None:
    data = read("digits")
    few = [item for item in data.items if item.split != "train"] + [i for i in data.items if i.split == "train"][:60]
    with pytest.raises(UsageError, match="could be held out"):
        visto.tune(replace(data, items=tuple(few)), "x.visto", model="mlp", threads=1)


def test_a_run_that_trained_is_not_tuned(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tuned.with_suffix(".run"), tmp_path / "t.run")
    settings = json.loads((tmp_path / "t.run" / "run.json").read_text())
    request = {k: v for k, v in settings["request"].items() if k not in ("tune", "trials")}
    (tmp_path / "t.run" / "run.json").write_text(json.dumps({**settings, "request": request, "ended": False}))
    assert run(command("t.visto", "--resume")) == 2
    assert "started by visto train" in capsys.readouterr().err
