"""Images that are read row by row, from the data to the exported file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import visto
from visto.data import read
from visto.errors import Interrupted, UsageError
from visto.learn import Recipe
from visto.recipes import Request, rows, suggest
from visto.training.settle import plan_of
from visto.types import Silent


class Stopping(Silent):
    """Stops in the middle of learning."""

    def progress(self, items, *, total, words):  # type: ignore[no-untyped-def]
        for count, item in enumerate(items):
            if words == "learning" and count == 50:
                raise Interrupted("stopped")
            yield item


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[visto.Model]:
    yield visto.train(
        "digits", tmp_path_factory.mktemp("rows") / "a.visto", read_as="rows", epochs=6, threads=1, precision="fp32"
    )


def test_it_learns_by_an_lstm_and_is_judged(trained: visto.Model) -> None:
    manifest = trained.bundle.manifest
    assert (manifest.model.name, manifest.task) == ("lstm", "classification")
    judged = visto.evaluate(trained, "digits", threads=1)
    assert judged.figures["accuracy"].value > 0.9


def test_a_run_that_was_stopped_ends_with_the_same_weights(trained: visto.Model, tmp_path: Path) -> None:
    out = tmp_path / "b.visto"
    with pytest.raises(Interrupted):
        visto.train("digits", out, read_as="rows", epochs=6, threads=1, precision="fp32", voice=Stopping())
    again = visto.train("digits", out, resume=True, threads=1).bundle.weights
    for name, value in trained.bundle.weights.items():
        assert torch.equal(value, again[name]), name


def test_it_is_exported(trained: visto.Model, tmp_path: Path) -> None:
    exported = visto.export(trained, tmp_path / "rows.onnx", data="digits")
    assert exported.source.manifest.model.name == "lstm"


def test_which_model_reads_rows() -> None:
    data = read("digits")
    assert plan_of(data, Request(read_as="rows"), None).model == "lstm"
    assert plan_of(data, Request(read_as="rows", model="gru"), None).model == "gru"
    assert "row by row" in plan_of(data, Request(model="attention"), None).why


def test_the_recipe_takes_small_steps_and_shifts_less() -> None:
    fit = {"size": [28, 28], "channels": 1}

    def recipe(model: str, images: int) -> Recipe:
        plain = suggest(model=model, images=images, classes=10, fit=fit, mean=[0.1], std=[0.3])
        return rows(plain, images=images)

    large = recipe("lstm", 60_000)
    assert (large.batch_size, large.epochs, large.augmentation) == (64, 10, ("shift",))
    assert recipe("lstm", 400).batch_size < 64
    assert recipe("attention", 400).lr < large.lr


@pytest.mark.parametrize(
    "asked",
    [
        Request(read_as="columns"),
        Request(read_as="rows", model="cnn"),
        Request(model="lstm", arguments={"over": "frames"}),
    ],
)
def test_what_cannot_be_read_so_is_refused(asked: Request) -> None:
    with pytest.raises(UsageError):
        plan_of(read("digits"), asked, None)
