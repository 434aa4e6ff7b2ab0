"""The ladder: what is tried, what is kept, what a stopped one goes on with."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.killing import VISTO, killed

import visto
from visto.__main__ import run
from visto.bundle import read_bundle
from visto.data.facts import Facts
from visto.recipes import Request
from visto.training.journal import Journal, Row
from visto.training.ladder import climbs
from visto.training.rungs import Rung, rungs_for
from visto.types import Silent, Size

COMMAND = ["train", "digits", "--budget", "6s", "--threads", "1", "--no-samples", "--quiet"]


class Heard(Silent):
    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], float]:
    out, voice = tmp_path_factory.mktemp("ladder") / "digits.visto", Heard()
    began = time.perf_counter()
    visto.train("digits", out, budget=14, threads=1, voice=voice, samples=False)
    return out, voice.words, time.perf_counter() - began


def test_the_best_is_kept_and_all_are_told(climbed: tuple[Path, list[str], float]) -> None:
    out, words, seconds = climbed
    ladder = read_bundle(out).manifest.recipe["ladder"]
    rows = {row["name"]: row for row in ladder["rungs"]}
    assert rows["majority class"]["kept"]
    assert ladder["best"] == [row["name"] for row in ladder["rungs"] if row["kept"]][-1]
    for name, row in rows.items():
        assert any(line.startswith(f"{name}: ") for line in words), name
        assert row["value"] is None or row["value"]["low"] < row["value"]["high"]
    history = [json.loads(line) for line in (out.with_name("digits.run") / "history.jsonl").read_text().splitlines()]
    assert [row["rung"] for row in history if "rung" in row] == list(rows)
    assert not (out.with_name("digits.run") / "rungs").exists()
    assert seconds < 16
    assert visto.evaluate(str(out), "digits", threads=1).figures["accuracy"].value > 0.93


def test_a_budget_for_nothing_gives_the_majority_class(tmp_path: Path) -> None:
    voice = Heard()
    model = visto.train("digits", tmp_path / "a.visto", budget=0.5, threads=1, voice=voice, samples=False)
    assert model.bundle.manifest.model.name == "majority"
    assert any("nothing was found to be better than always answering" in line for line in voice.words)


@pytest.mark.parametrize("decided", [1, 3])
def test_a_killed_climb_goes_on_with_what_was_decided(decided: int, tmp_path: Path) -> None:
    out, path = tmp_path / "digits.visto", tmp_path / "digits.run" / "ladder.json"
    command = [*COMMAND, "-o", str(out)]
    killed([*VISTO, *command], lambda: path.exists() and len(json.loads(path.read_text())["rows"]) >= decided)
    before = json.loads(path.read_text())["rows"]
    assert len(before) >= decided
    assert run([*command, "--resume"]) == 0
    rows = read_bundle(out).manifest.recipe["ladder"]["rungs"]
    assert rows[: len(before)] == before
    assert len({row["name"] for row in rows}) == len(rows)


GREY = Facts(typical=Size(height=28, width=28), uniform=True, channels=1)
PHOTOS = Facts(typical=Size(height=400, width=300), uniform=False, channels=3)


def names(facts: Facts, images: int, **asked: Any) -> list[str]:
    return [rung.name for rung in rungs_for(facts, Request(budget=60, **asked), images)]


def test_what_is_tried_depends_on_the_data() -> None:
    assert names(GREY, 70_000) == ["logistic on hog", "forest on hog", "svm on hog", "small CNN", "speedrun CNN"]
    assert names(PHOTOS, 3000)[3:] == ["frozen backbone, linear head", "small CNN", "fine-tuned backbone"]
    assert names(PHOTOS, 3000, scratch=True)[3:] == ["small CNN", "residual CNN"]


def test_who_asks_for_one_model_gets_it() -> None:
    assert climbs(Request(budget=60.0, seed=3), "classification")
    assert not climbs(Request(budget=60.0, model="cnn"), "classification")
    assert not climbs(Request(budget=60.0), "multilabel")
    assert not climbs(Request(), "classification")


def test_the_journal_counts_the_seconds_of_earlier_processes(tmp_path: Path) -> None:
    first = Journal(tmp_path / "ladder.json", lambda: 5.0)
    first.decide(Row(name="a", words="left out"))
    again = Journal(tmp_path / "ladder.json", lambda: 2.0)
    assert again.clock() == pytest.approx(7.0)
    assert again.decided("a") == Row(name="a", words="left out")
    assert again.decided("b") is None


def test_a_tie_goes_to_the_cheaper(climbed: tuple[Path, list[str], float]) -> None:
    from visto.training.journal import weighed

    model = visto.load(climbed[0])
    judged = visto.evaluate(model, "digits", threads=1)
    row = weighed("twin", model.bundle, judged, 1.0, "the first", judged)
    assert not row.kept
    assert row.words == "not surely better than the first, which is cheaper"
    wrong = [replace(a, value=replace(a.value, index=0, scores=torch.eye(10)[0])) for a in judged.answers]
    assert not weighed("worse", model.bundle, replace(judged, answers=wrong), 1.0, "it", judged).kept
    assert weighed("better", model.bundle, judged, 1.0, "it", replace(judged, answers=wrong)).kept


def only_a_net(facts: Facts, request: Request, images: int) -> list[Rung]:
    asked = replace(request, budget=None, model="cnn", arguments={"depth": 1, "width": 8}, epochs=2.0)
    return [Rung(name="tiny CNN", request=asked, top=True)]


def test_time_that_is_left_goes_to_more_of_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visto.training.ladder.rungs_for", only_a_net)
    out = tmp_path / "digits.visto"
    visto.train("digits", out, budget=14, threads=1, samples=False)
    recipe = read_bundle(out).manifest.recipe
    rows = {row["name"]: row for row in recipe["ladder"]["rungs"]}
    assert rows["tiny CNN"]["kept"]
    together = rows["ensemble of the best"]
    assert together["value"] is not None
    assert recipe["ladder"]["best"] == ("ensemble of the best" if together["kept"] else "tiny CNN")


def test_a_net_that_diverges_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wild(facts: Facts, request: Request, images: int) -> list[Rung]:
        (rung,) = only_a_net(facts, request, images)
        return [replace(rung, request=replace(rung.request, lr=1e6, optimiser="sgd", schedule="constant", epochs=9.0))]

    monkeypatch.setattr("visto.training.ladder.rungs_for", wild)
    out = tmp_path / "digits.visto"
    visto.train("digits", out, budget=14, threads=1, samples=False)
    ladder = read_bundle(out).manifest.recipe["ladder"]
    assert ladder["best"] == "majority class"
    assert any("the loss became" in row["words"] for row in ladder["rungs"])
