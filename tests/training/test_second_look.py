"""The second look in a whole run: kept where it helps, looked through where a bundle is fine-tuned."""

from pathlib import Path

import pytest

import visto
from visto.bundle import read_bundle
from visto.training.second_look import first_look
from visto.types import Silent


class Heard(Silent):
    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out, voice = tmp_path_factory.mktemp("speedrun") / "digits.visto", Heard()
    visto.train("digits", out, model="speedrun", arguments={"widths": [8, 16]}, epochs=6, threads=1, voice=voice)
    return out, voice.words


def test_it_is_kept_where_it_lowers_the_loss(trained: tuple[Path, list[str]]) -> None:
    out, words = trained
    model = visto.load(out)
    (said,) = [line for line in words if "second look" in line]
    spec = model.bundle.manifest.model
    assert (spec.name == "second_look") == ("left out" not in said)
    assert visto.evaluate(model, "digits").figures["accuracy"].value > 0.9


def test_what_learning_took_is_told_and_stored(trained: tuple[Path, list[str]]) -> None:
    out, words = trained
    assert any("waiting for images" in line and "memory" in line for line in words)
    made = visto.load(out).bundle.manifest.recipe
    assert 0 <= made["waiting"] <= 1 and made["peak_memory"] > 100e6
    assert set(made["decisions"]["engine"]) == {"precision", "layout", "kernels", "device", "reason", "seconds"}


def test_a_bundle_with_a_second_look_can_be_fine_tuned(tmp_path: Path) -> None:
    arguments = {"widths": [8, 16]}
    shared = {"model": "speedrun", "arguments": arguments, "threads": 1}
    first = visto.train("digits", tmp_path / "a.visto", epochs=3, **shared)  # type: ignore[arg-type]
    bundle = read_bundle(first.path)
    inner = first_look(bundle)
    assert inner.manifest.model.name == "speedrun"
    assert not any(name.startswith("model.") for name in inner.weights)
    assert first_look(inner) is inner
    second = visto.train("digits", tmp_path / "b.visto", start_from=first.path, epochs=1, threads=1)
    assert visto.evaluate(second, "digits").figures["accuracy"].value > 0.9


def test_without_it(tmp_path: Path) -> None:
    model = visto.train(
        "digits", tmp_path / "a.visto", model="speedrun", arguments={"widths": [8]}, second_look=0, epochs=1, threads=1
    )
    assert model.bundle.manifest.model.name == "speedrun"
